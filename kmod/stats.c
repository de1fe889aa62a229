// SPDX-License-Identifier: GPL-2.0-only
/* Counters: summed over CPUs, written as a nest without its zeros. */
#include "tlckpt_priv.h"

void tlckpt_stats_sum(const struct tlckpt_stats __percpu *stats, struct tlckpt_stats *sum)
{
	int cpu, i;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu)
		for (i = 0; i < TLCKPT_NR_STATS; i++)
			sum->count[i] += READ_ONCE(per_cpu_ptr(stats, cpu)->count[i]);
}

int tlckpt_stats_put(struct sk_buff *msg, int nest, const struct tlckpt_stats *sum)
{
	struct nlattr *attr = nla_nest_start(msg, nest);
	int i;

	/* Same order: the attribute of counter i is i + 2, behind UNSPEC and PAD. */
	BUILD_BUG_ON(TLCKPT_NR_STATS != TLCKPT_A_STATS_MAX - 1);
	BUILD_BUG_ON(STAT_DROP_PLAIN + 2 != TLCKPT_A_STATS_DROP_PLAIN);
	if (!attr)
		return -EMSGSIZE;
	for (i = 0; i < TLCKPT_NR_STATS; i++)
		if (sum->count[i] &&
		    nla_put_u64_64bit(msg, i + 2, sum->count[i], TLCKPT_A_STATS_PAD))
			return -EMSGSIZE;
	nla_nest_end(msg, attr);
	return 0;
}
