# SPDX-License-Identifier: GPL-2.0-only
# How long a guest stands still, against stock `xl save -c` and `xl remus`: in one
# run of one guest on the emulated host.
LONG_BENCHES += bench-pause
bench-pause: all $(O)/bin/tlckpt-suspend-watch
	@mkdir -p $(O)/results
	tests/rig/run -O $(O) --patience 3 -t $(O)/results/bench-pause.tap pause
