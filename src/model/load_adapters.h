// The adapters of an opened model in memory.
#pragma once

#include "base/thread_pool.h"
#include "model/model_file.h"
#include "model/weights.h"

namespace prefold {

Adapters load_adapters(const ModelFile& model, ThreadPool& pool);

}  // namespace prefold
