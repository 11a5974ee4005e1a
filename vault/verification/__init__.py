"""Files from anywhere, judged in fenced processes of their own, and whom a verifier trusts."""
