# SPDX-License-Identifier: GPL-2.0-only
# The store's whole write path against raw fio, taking turns.
$(eval $(call program,store-bench,rel,tests/bench/store_bench.cc $(wildcard libckpt/base/*.cc libckpt/io/*.cc libckpt/store/*.cc),-luring -lisal -lfmt))

BENCHES += bench-store
bench-store: $(O)/bin/store-bench
	@mkdir -p $(O)/results
	tests/bench/store $(O) $(O)/results/bench-store.tap
