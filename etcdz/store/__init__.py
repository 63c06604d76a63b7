"""Where data lies: ordered rows in LevelDB or in memory, and the files of the real disk."""
