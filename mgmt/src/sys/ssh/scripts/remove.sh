#!/bin/sh
# Removes the directory DIR when the program that started this has ended, however that came.
trap '' HUP INT TERM QUIT PIPE
read -r end
rm -rf -- "$DIR"
