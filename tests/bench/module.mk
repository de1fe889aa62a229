# SPDX-License-Identifier: GPL-2.0-only
# Benchmarks: ratios and figures beside their goals, each with its own .mk beside it.
include $(filter-out %/module.mk,$(sort $(wildcard tests/bench/*.mk)))
