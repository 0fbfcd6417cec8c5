#include "cache/block_pool.h"

#include <doctest/doctest.h>

#include "cache/block_table.h"

using namespace prefold;

TEST_CASE("a pool hands out each block once and none when all are taken") {
  BlockPool pool(3);
  CHECK(*pool.allocate() == 0);
  CHECK(*pool.allocate() == 1);
  CHECK(*pool.allocate() == 2);
  CHECK_FALSE(pool.allocate().has_value());
  CHECK(pool.n_used() == 3);
  pool.drop_reference(1);
  CHECK(pool.n_free() == 1);
  CHECK(*pool.allocate() == 1);
  CHECK(pool.peak_used() == 3);
}

TEST_CASE("a shared prefix frees its blocks only after the last member has finished") {
  BlockPool pool(4);
  BlockTable prefix;
  REQUIRE(grow_table(pool, prefix, 2));
  BlockTable a = share_table(pool, prefix, 2);
  BlockTable b = share_table(pool, prefix, 1);
  REQUIRE(grow_table(pool, b, 2));
  release_table(pool, prefix);
  CHECK(pool.n_used() == 3);
  release_table(pool, a);
  CHECK(pool.n_used() == 2);  // b holds the first block of the prefix and one of its own
  release_table(pool, b);
  CHECK(pool.n_used() == 0);
}

TEST_CASE("a table that cannot grow as far as asked is left as it was") {
  BlockPool pool(2);
  BlockTable table;
  REQUIRE(grow_table(pool, table, 1));
  CHECK_FALSE(grow_table(pool, table, 4));
  CHECK(table.blocks.size() == 1);
  CHECK(pool.n_free() == 1);
  CHECK(grow_table(pool, table, 1));  // holds as many already
}

TEST_CASE("blocks_for rounds up") {
  CHECK(blocks_for(0, 32) == 0);
  CHECK(blocks_for(1, 32) == 1);
  CHECK(blocks_for(32, 32) == 1);
  CHECK(blocks_for(33, 32) == 2);
}
