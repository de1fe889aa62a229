# SPDX-License-Identifier: GPL-2.0-only
# The protocol as a model, explored by spin: the rules hold, each wrong one is caught.
model-dir  := $(O)/model
model-srcs := $(wildcard tests/model/*.pml)
# All states are kept whole: what is called exhaustive is. 2 GiB at most.
model-flags := -O1 -w -DNOREDUCE -DMEMLIM=2000

$(model-dir)/pan.c: $(model-srcs)
	@mkdir -p $(@D)
	@echo "  SPIN    $@"
	$(Q)cp $^ $(@D) && cd $(@D) && spin -a tlckpt.pml

$(model-dir)/pan: $(model-dir)/pan.c
	@echo "  CC      $@"
	$(Q)$(CC) $(model-flags) -DSAFETY -o $@ $<
$(model-dir)/pan-cycles: $(model-dir)/pan.c
	@echo "  CC      $@"
	$(Q)$(CC) $(model-flags) -DNP -o $@ $<

CHECKS += check-model
CAMPAIGNS += campaign-model
.PHONY: check-model campaign-model
check-model campaign-model: %-model: $(model-dir)/pan $(model-dir)/pan-cycles
	@mkdir -p $(O)/results
	tests/model/run $(model-dir) $* $(O)/results/$@.tap
