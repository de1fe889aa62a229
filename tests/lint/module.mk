# SPDX-License-Identifier: GPL-2.0-only
# Checks of the source itself. One verdict each.
lint-headers := $(shell git ls-files '*.hh' 'include/tlckpt/*.h' 'include/uapi/*.h')

$(O)/lint/%.hh.ok: %.hh
	@mkdir -p $(@D)
	$(Q)$(CXX) $(CPPFLAGS) $(CXXFLAGS) -fsyntax-only -x c++ -MMD -MP -MF $(@:.ok=.d) -MT $@ -include $< /dev/null
	@touch $@
$(O)/lint/%.h.ok: %.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fsyntax-only -x c -include $< /dev/null
	$(Q)$(CXX) $(CPPFLAGS) $(CXXFLAGS) -fsyntax-only -x c++ -MMD -MP -MF $(@:.ok=.d) -MT $@ -include $< /dev/null
	@touch $@
-include $(addprefix $(O)/lint/,$(addsuffix .d,$(lint-headers)))

.PHONY: check-headers
check-headers: $(addprefix $(O)/lint/,$(addsuffix .ok,$(lint-headers)))

CHECKS += check-lint
check-lint:
	@mkdir -p $(O)/results
	tests/lint/run $(O) $(O)/results/check-lint.tap
