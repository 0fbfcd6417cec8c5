// kernel_bench moe: a layer of experts, with a step's rows grouped by expert and row by row.
#pragma once

namespace prefold {

int moe_bench(int argc, char** argv);

}  // namespace prefold
