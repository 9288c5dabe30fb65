"""Tests of the commands; a package, so that a command and a module may have one name."""
