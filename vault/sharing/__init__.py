"""Sharing with third parties: codes, the slip to hand over, opening, what the bearer may see."""
