//! Filters evaluated in memory.
