"""One file per kind of process: who does the work. `run(boot)` is where the zygote enters."""
