"""What every part of relstab needs: errors, files, the curve table, estimates with intervals, the terminal."""
