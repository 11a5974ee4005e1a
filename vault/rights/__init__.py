"""What holders may know and correct: the access journal as people read it, copies of everything, notes."""
