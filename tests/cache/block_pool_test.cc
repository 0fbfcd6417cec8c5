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
  CHECK(prefix.blocks.capacity() == 0);  // nothing of it is kept
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

TEST_CASE("content is found, in use or free, until its block is handed out for something else") {
  BlockPool pool(2, ReuseOrder::kOldestFirst);
  const int32_t a = *pool.allocate();
  const int32_t b = *pool.allocate();
  pool.set_content(a, 100);
  pool.set_content(b, 200);
  CHECK(*pool.take_content(100) == a);
  CHECK(pool.reference_count(a) == 2);
  pool.drop_reference(a);
  pool.drop_reference(a);
  pool.drop_reference(b);
  CHECK(pool.n_free() == 2);
  CHECK(*pool.take_content(200) == b);  // free, and taken again as it is
  CHECK(pool.n_free() == 1);
  CHECK(*pool.allocate() == a);
  CHECK_FALSE(pool.take_content(100).has_value());
  CHECK_FALSE(pool.take_content(300).has_value());
}

TEST_CASE("the oldest free block goes first when old content should stay findable") {
  BlockPool pool(3, ReuseOrder::kOldestFirst);
  for (int i = 0; i < 3; ++i) CHECK(*pool.allocate() == i);
  pool.drop_reference(1);
  pool.drop_reference(0);
  CHECK(*pool.allocate() == 1);
  CHECK(*pool.allocate() == 0);
}

TEST_CASE("two blocks with one content: the first keeps it") {
  BlockPool pool(2, ReuseOrder::kOldestFirst);
  const int32_t a = *pool.allocate();
  const int32_t b = *pool.allocate();
  pool.set_content(a, 7);
  pool.set_content(b, 7);
  CHECK(*pool.take_content(7) == a);
}
