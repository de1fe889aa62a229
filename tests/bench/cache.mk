# SPDX-License-Identifier: GPL-2.0-only
# What a page visit costs in the dirty-page cache.
$(eval $(call program,cache-bench,rel,tests/bench/cache_bench.cc $(wildcard libckpt/cache/*.cc),-lbenchmark))

BENCHES += bench-cache
bench-cache: $(O)/bin/cache-bench
	@mkdir -p $(O)/results
	$< --benchmark_out=$(O)/results/bench-cache.json --benchmark_out_format=json
	tests/bench/goals $(O)/results/bench-cache.json $(O)/results/bench-cache.tap ns_per_page 50
