"""The antivirus: the port and ClamAV behind it, what is inside files, the queue of files that wait."""
