# SPDX-License-Identifier: GPL-2.0-only
# gnuplot -e "data='figure5.csv'; out='figure5.svg'" figure5.gp
set terminal svg size 1100,850 background 'white' font 'sans,12'
set output out
set datafile separator ','
set grid
set xlabel 'VMs, 8 on each node'
set yrange [0:*]
set key top left
set multiplot layout 2,2
set title 'Figure 5: forced VM checkpoints, 10000 frames in all'
plot data using 1:2 with linespoints lt 1 pt 7 ps 0.5 title 'symmetric', \
     data using 1:5 with linespoints lt 1 dt 2 pt 7 ps 0.5 title '50 % within the node'
set title 'Forced VM checkpoints: what the paper does not show'
set key at graph 0.98, 0.78 right
plot data using 1:2 with lines lt 1 title 'bcs, symmetric', \
     data using 1:8 with lines lt 2 title 'ms, symmetric', \
     data using 1:11 with lines lt 2 dt 2 title 'ms, 50 % within the node', \
     data using 1:14 with lines lt 3 title 'bcs, flat: each VM a node'
set key top left
set title 'All VM checkpoints, basic and forced'
plot data using 1:3 with lines lt 1 title 'bcs, symmetric', \
     data using 1:6 with lines lt 1 dt 2 title 'bcs, 50 %', \
     data using 1:9 with lines lt 2 title 'ms, symmetric', \
     data using 1:15 with lines lt 3 title 'bcs, flat'
set title 'Last minus first node of one index, in periods'
plot data using 1:($4 < 0 ? 1/0 : $4) with linespoints lt 1 pt 7 ps 0.4 title 'bcs, symmetric', \
     data using 1:($10 < 0 ? 1/0 : $10) with linespoints lt 2 pt 7 ps 0.4 title 'ms, symmetric'
unset multiplot
