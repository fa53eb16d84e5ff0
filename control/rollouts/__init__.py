"""The ports of the controller of rollouts, joined to what this process has: the engine, and the workers' counters."""
