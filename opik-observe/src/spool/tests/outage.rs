//! Outages in simulated time: what arrives, what is counted, and when the server is asked.

use std::time::Duration;

use opik_core::Exporter as _;
use opik_core::exporter::ExportErrorKind;
use tokio::time::{Instant, sleep, timeout};

use super::super::options::{Durability, SpoolOptions};
use super::model_files::{Fault, ModelFiles};
use super::server::Mood;
use super::world::{DOWN, HOUR, SECOND, World, simulated};

/// Three rows every ten seconds for ten hours while the server is down; then it is up.
async fn ten_hours(options: SpoolOptions) -> World {
    let world = World::new(ModelFiles::new(), DOWN, options);
    world
        .beside_replay(async {
            for number in 0..3_600 {
                assert_eq!(world.put(number * 3..number * 3 + 3).await, Ok(3));
                sleep(10 * SECOND).await;
            }
            world.server.is(Mood::Up);
            world.until_empty().await;
            // What comes next goes straight on.
            assert_eq!(world.put([20_000]).await, Ok(1));
        })
        .await;
    world.assert_books();
    world
}

#[test]
fn everything_of_a_ten_hour_outage_arrives_once_and_in_order() {
    simulated(async {
        let world = ten_hours(SpoolOptions::new()).await;
        let expected: Vec<u64> = (0..10_800).chain([20_000]).collect();
        assert_eq!(world.server.rows(), expected);
        let s = world.spool.statistics();
        assert_eq!(
            (s.appended, s.replayed, s.direct, s.lost()),
            (10_800, 10_800, 1, 0)
        );
        // One attempt a minute, not one a batch: the longest wait is a minute and at least half.
        assert!((590..1_300).contains(&s.failed_attempts), "{s:?}");
    });
}

#[test]
fn what_the_caps_do_not_hold_of_an_outage_is_counted_and_the_rest_arrives_in_order() {
    simulated(async {
        let by_size = SpoolOptions::new().max_bytes(400_000);
        let by_age = SpoolOptions::new().max_age(4 * HOUR);
        for (options, is_size) in [(by_size, true), (by_age, false)] {
            let world = ten_hours(options).await;
            let arrived = world.server.rows();
            let s = world.spool.statistics();
            let evicted = if is_size {
                s.evicted_by_size
            } else {
                s.evicted_by_age
            };
            assert_eq!((s.lost(), s.replayed + evicted), (evicted, 10_800), "{s:?}");
            let first = 10_800 - s.replayed;
            let expected: Vec<u64> = (first..10_800).chain([20_000]).collect();
            assert_eq!(arrived, expected);
            assert!((1_000..7_000).contains(&s.replayed), "{s:?}");
        }
    });
}

#[test]
fn a_server_that_hangs_costs_one_timeout_and_no_more() {
    simulated(async {
        let world = World::new(ModelFiles::new(), Mood::Hangs, SpoolOptions::new());
        let began = Instant::now();
        world.put([1]).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 2);
        for number in 2..100 {
            world.put([number]).await.unwrap();
        }
        assert_eq!((began.elapsed().as_secs(), world.server.calls()), (2, 1));
        assert_eq!(world.spool.statistics().appended, 99);
    });
}

#[test]
fn the_end_of_the_caller_leaves_half_of_its_time_to_the_disk() {
    simulated(async {
        let slow = Mood::Slow(SECOND);
        let world = World::new(ModelFiles::new(), slow, SpoolOptions::new());
        let began = Instant::now();
        world
            .spool
            .closing(std::time::Instant::now() + Duration::from_secs(9));
        for number in 0..20 {
            assert_eq!(world.put([number]).await, Ok(1));
        }
        assert!(began.elapsed() <= Duration::from_millis(4_500));
        let s = world.spool.statistics();
        assert_eq!((s.direct, s.appended), (4, 16), "{s:?}");
        // Who comes when the caller is gone has all the time again.
        sleep(6 * SECOND).await;
        world.beside_replay(world.until_empty()).await;
        world.put([20]).await.unwrap();
        assert_eq!(world.spool.statistics().direct, 5);
    });
}

#[test]
fn the_end_of_the_caller_reaches_an_attempt_that_is_under_way() {
    simulated(async {
        let options = SpoolOptions::new().attempt_timeout(HOUR);
        let world = World::new(ModelFiles::new(), Mood::Hangs, options);
        let began = Instant::now();
        let (put, ()) = futures_util::future::join(world.put([1]), async {
            sleep(SECOND).await;
            let deadline = std::time::Instant::now() + Duration::from_secs(2);
            world.spool.closing(deadline);
        })
        .await;
        assert_eq!((put, began.elapsed().as_secs()), (Ok(1), 2));
        assert_eq!(world.spool.statistics().appended, 1);
    });
}

#[test]
fn a_server_that_is_slow_and_not_gone_gets_everything() {
    simulated(async {
        let slow = Mood::Slow(10 * SECOND);
        let world = World::new(ModelFiles::new(), slow, SpoolOptions::new());
        for number in 0..5 {
            world.put([number]).await.unwrap();
        }
        world.beside_replay(world.until_empty()).await;
        assert_eq!(world.server.rows(), [0, 1, 2, 3, 4]);
        assert_eq!(world.spool.statistics().failed_attempts, 0);
    });
}

#[test]
fn a_flush_promises_what_is_on_disk_and_asks_the_server_for_the_rest() {
    simulated(async {
        let world = World::new(ModelFiles::new(), DOWN, SpoolOptions::new());
        world.put([1]).await.unwrap();
        world.spool.flush().await.unwrap();
        world.server.is(Mood::Up);
        world.beside_replay(world.until_empty()).await;
        world.put([2]).await.unwrap();
        // What the server took it alone can promise.
        world.server.is(DOWN);
        world.spool.flush().await.unwrap_err();
        world.server.is(Mood::Up);
        world.spool.flush().await.unwrap();
        world.server.is(DOWN);
        world.spool.flush().await.unwrap();
    });
}

#[test]
fn a_call_that_was_cancelled_while_it_waited_is_not_waited_for_again() {
    simulated(async {
        let world = World::new(ModelFiles::new(), Mood::Hangs, SpoolOptions::new());
        // The recorder's own timeout is shorter than that of the spool.
        timeout(SECOND, world.put([1])).await.unwrap_err();
        let began = Instant::now();
        assert_eq!(world.put([1]).await, Ok(1));
        assert!(began.elapsed().is_zero());
        assert_eq!(world.spool.statistics().appended, 1);
    });
}

#[test]
fn a_server_that_names_a_wait_is_left_alone_for_it() {
    simulated(async {
        let world = World::new(
            ModelFiles::new(),
            Mood::Asks(100 * SECOND),
            SpoolOptions::new(),
        );
        world
            .beside_replay(async {
                world.put([1]).await.unwrap();
                sleep(99 * SECOND).await;
                // The first attempt, and one from the spool.
                assert_eq!(world.server.calls(), 2);
                sleep(3 * SECOND).await;
                assert_eq!(world.server.calls(), 3);
            })
            .await;
    });
}

#[test]
fn records_wait_for_a_key_that_is_refused_to_be_mended() {
    simulated(async {
        let refused = Mood::Fails(ExportErrorKind::Unauthorized);
        let world = World::new(ModelFiles::new(), refused, SpoolOptions::new());
        world
            .beside_replay(async {
                assert_eq!(world.put([1, 2]).await, Ok(2));
                sleep(HOUR).await;
                // As rarely as the longest wait says.
                assert!(world.server.calls() <= 122);
                world.server.is(Mood::Up);
                world.until_empty().await;
            })
            .await;
        assert_eq!(world.server.rows(), [1, 2]);
    });
}

#[test]
fn what_is_refused_as_such_is_the_callers_before_and_counted_after() {
    simulated(async {
        for kind in [
            ExportErrorKind::Rejected,
            ExportErrorKind::TooLarge,
            ExportErrorKind::Closed,
        ] {
            let world = World::new(ModelFiles::new(), Mood::Fails(kind), SpoolOptions::new());
            assert_eq!(world.put([1]).await, Err(kind));
            assert_eq!(world.spool.statistics().appended, 0);
        }
        for (mood, rejected) in [(Mood::Dislikes(7), 1), (Mood::Rejects(7), 1)] {
            let world = World::new(ModelFiles::new(), DOWN, SpoolOptions::new());
            world
                .beside_replay(async {
                    world.put(0..10).await.unwrap();
                    world.put(10..20).await.unwrap();
                    world.server.is(mood);
                    world.until_empty().await;
                })
                .await;
            let expected: Vec<u64> = (0..20).filter(|number| *number != 7).collect();
            assert_eq!(world.server.rows(), expected, "{mood:?}");
            let s = world.spool.statistics();
            assert_eq!((s.replayed, s.rejected), (19, rejected));
        }
    });
}

#[test]
fn a_batch_that_the_exporter_panics_on_is_given_up_and_counted() {
    simulated(async {
        let world = World::new(ModelFiles::new(), DOWN, SpoolOptions::new());
        world
            .beside_replay(async {
                world.put([1]).await.unwrap();
                world.put([2]).await.unwrap();
                world.server.is(Mood::Panics);
                // Three attempts at a batch take 0.75 s at least: the second one is not given up yet.
                while world.spool.statistics().rejected == 0 {
                    sleep(SECOND / 100).await;
                }
                world.server.is(Mood::Up);
                world.until_empty().await;
            })
            .await;
        assert_eq!(world.server.rows(), [2]);
        assert_eq!(world.spool.statistics().rejected, 1);
    });
}

#[test]
fn write_ahead_answers_before_the_server_is_asked() {
    simulated(async {
        let options = SpoolOptions::new().durability(Durability::WriteAhead);
        let world = World::new(ModelFiles::new(), Mood::Hangs, options);
        assert_eq!(world.put([1, 2]).await, Ok(2));
        world.spool.flush().await.unwrap();
        assert_eq!(world.server.calls(), 0);
        world.server.is(Mood::Up);
        world
            .beside_replay(async {
                world.until_empty().await;
                assert_eq!(world.server.rows(), [1, 2]);
                // Idle for a while: nothing is left to be sent again.
                sleep(3 * SECOND).await;
                assert!(
                    world
                        .files
                        .names()
                        .iter()
                        .all(|name| !name.ends_with(".seg"))
                );
            })
            .await;
    });
}

#[test]
fn without_a_disk_batches_go_on_to_the_server_and_are_the_callers_while_that_is_down() {
    simulated(async {
        for mode in [Durability::SpoolOnFailure, Durability::WriteAhead] {
            for fault in [Fault::NoSpace, Fault::ReadOnly, Fault::Broken] {
                let options = SpoolOptions::new().durability(mode);
                let world = World::new(ModelFiles::new(), Mood::Up, options);
                world.files.inject([fault; 1_000]);
                assert_eq!(world.put([1]).await, Ok(1));
                world.server.is(DOWN);
                assert_eq!(world.put([2]).await, Err(ExportErrorKind::Unavailable));
                let s = world.spool.statistics();
                let refused = (s.refused_no_space, s.refused_failed);
                let twice = if mode == Durability::WriteAhead { 2 } else { 1 };
                let expected = match fault {
                    Fault::NoSpace => (twice, 0),
                    _ => (0, twice),
                };
                assert_eq!((refused, s.direct, s.appended), (expected, 1, 0));
                // The recorder repeats what it keeps, and there is room again.
                world.files.inject([]);
                assert_eq!(world.put([2]).await, Ok(1));
                assert_eq!(world.spool.statistics().appended, 1);
            }
        }
    });
}

#[test]
fn a_directory_that_is_taken_away_costs_what_was_in_it_and_no_more() {
    simulated(async {
        let world = World::new(ModelFiles::new(), DOWN, SpoolOptions::new());
        world.put([1, 2]).await.unwrap();
        world.files.vanish();
        world.put([3]).await.unwrap();
        world.server.is(Mood::Up);
        world.beside_replay(world.until_empty()).await;
        assert_eq!(world.server.rows(), [3]);
        let s = world.spool.statistics();
        assert_eq!((s.appended, s.replayed, s.unreadable), (3, 1, 2));
    });
}

#[test]
fn a_damaged_frame_costs_its_own_records_only() {
    simulated(async {
        // In the magic, in a length, in a checksum, in the payload of the second frame.
        for place in [0, 9, 25, 40] {
            let world = World::new(ModelFiles::new(), DOWN, SpoolOptions::new());
            world.put([1, 2]).await.unwrap();
            let name = world
                .files
                .names()
                .into_iter()
                .find(|n| n.ends_with(".seg"))
                .unwrap();
            let second = world.files.size(&name);
            for number in [3, 4] {
                world.put([number]).await.unwrap();
            }
            world.files.damage(&name, second + place);
            world.server.is(Mood::Up);
            world.beside_replay(world.until_empty()).await;
            assert_eq!(world.server.rows(), [1, 2, 4], "{place}");
            let s = world.spool.statistics();
            assert_eq!(
                (s.replayed, s.unreadable, s.damaged_places),
                (3, 1, 1),
                "{place}"
            );
            world.assert_books();
        }
    });
}

#[test]
fn the_spool_is_emptied_at_its_pace() {
    simulated(async {
        let options = SpoolOptions::new().records_per_second(10);
        let world = World::new(ModelFiles::new(), DOWN, options);
        for number in 0..10 {
            world.put(number * 10..number * 10 + 10).await.unwrap();
        }
        world.server.is(Mood::Up);
        let began = Instant::now();
        world.beside_replay(world.until_empty()).await;
        let seconds = began.elapsed().as_secs();
        assert!(
            (8..=11).contains(&seconds),
            "100 records at 10 a second took {seconds} s"
        );
    });
}
