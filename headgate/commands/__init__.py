"""The commands, one file for each group; their bodies import what they need when they run, so that help stays quick."""
