# SPDX-License-Identifier: GPL-2.0-only
# One non-recursive build of everything in user space. Each folder says in its
# module.mk what it adds; kmod/ alone recurses, into Kbuild.
#
#   make            daemon, control tool, simulator
#   make check      unit, simulation, model, lint: minutes, no emulation
#   make test       all rings, the emulated Xen rig included; ends with a sum
#   make demo       the main job on an emulated Xen host, as a user meets it
#   make bench      ratios against other ways, measured side by side
#   make deps       installs the Debian packages that the above need (root)

O        ?= build
V        ?= 0
Q        := $(if $(filter 1,$(V)),,@)
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

CC       := $(if $(filter default,$(origin CC)),gcc,$(CC))
CXX      := $(if $(filter default,$(origin CXX)),g++,$(CXX))
WARN     := -Wall -Wextra -Wshadow -Wconversion -Werror
CPPFLAGS += -Iinclude -Iinclude/uapi -I. -D_GNU_SOURCE
CFLAGS   += -std=gnu11 -g $(WARN)
# gnu++20, not c++20: Xen's public headers use GNU anonymous structs.
CXXFLAGS += -std=gnu++20 -g $(WARN) -fno-strict-aliasing -pthread
# Every object is built in the flavours that its program asks for.
FLAVOUR_rel  := -O2 -D_FORTIFY_SOURCE=2
FLAVOUR_asan := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FLAVOUR_cov  := -O0 --coverage
LINK_rel     :=
LINK_asan    := -fsanitize=address,undefined
LINK_cov     := --coverage

# What the module.mk files fill: programs, and the parts of check, test, bench.
PROGS   :=
# All programs, those of the tests included.
PROGRAMS :=
CHECKS  :=
RINGS   :=
BENCHES :=
# Benches that are not part of test.
LONG_BENCHES :=
FIGURES :=
CAMPAIGNS :=

# $(call objs,flavour,sources): the objects of these sources in one flavour
objs = $(patsubst %,$(O)/$(1)/%.o,$(basename $(2)))

# $(call program,name,flavour,sources,libraries): a program $(O)/bin/name
define program
PROGRAMS += $(1)
$(O)/bin/$(1): $(call objs,$(2),$(3))
	@mkdir -p $$(@D)
	@echo "  LINK    $$@"
	$(Q)$(CXX) $(LINK_$(2)) -pthread -o $$@ $$(filter %.o,$$^) $(4)
-include $(patsubst %.o,%.d,$(call objs,$(2),$(3)))
endef

# libckpt first: its sources and libraries are parts of the other programs.
include libckpt/module.mk $(sort $(filter-out libckpt/%,$(wildcard */module.mk tests/*/module.mk)))

define compile
$(O)/$(1)/%.o: %.cc
	@mkdir -p $$(@D)
	@echo "  CXX     $$<"
	$(Q)$(CXX) $$(CPPFLAGS) $$(CXXFLAGS) $(FLAVOUR_$(1)) -MMD -MP -c -o $$@ $$<
$(O)/$(1)/%.o: %.c
	@mkdir -p $$(@D)
	@echo "  CC      $$<"
	$(Q)$(CC) $$(CPPFLAGS) $$(CFLAGS) $(FLAVOUR_$(1)) -MMD -MP -c -o $$@ $$<
endef
$(foreach f,rel asan cov,$(eval $(call compile,$(f))))

.PHONY: all programs deps check test demo bench figures campaign install clean $(CHECKS) $(RINGS) $(BENCHES) $(LONG_BENCHES)
.SECONDARY:

all: $(addprefix $(O)/bin/,$(PROGS))
programs: $(addprefix $(O)/bin/,$(PROGRAMS))

deps:
	$(Q)tools/deps

# A ring leaves its verdicts as TAP under $(O)/results; the sum reads them.
check: deps
	$(Q)tests/run $(O) check $(CHECKS)

test: deps
	$(Q)tests/run $(O) test $(CHECKS) -- $(RINGS) $(BENCHES)

bench: deps $(BENCHES) $(LONG_BENCHES)
figures: deps $(FIGURES)
campaign: deps $(CAMPAIGNS)

clean:
	rm -rf $(O)
