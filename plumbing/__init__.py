"""What the packages need of network and disk alike: exchanges that end in time, files that outlast power loss.

Nothing here knows what is exchanged or written. What fails raises the errors of Python and of the libraries used; each
package turns them into its own at its boundary.
"""
