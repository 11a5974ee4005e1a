"""What keeps a safe whole over decades: scrubbing, catching up, late seals, new generations, moving."""
