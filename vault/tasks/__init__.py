"""Background work: the list of tasks, and who runs them, in one process or shared among many hosts."""
