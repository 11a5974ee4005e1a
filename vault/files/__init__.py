"""What a file is: its name, the short texts with it, its type by content, what is inside a PDF."""
