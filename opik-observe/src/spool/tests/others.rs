//! Processes that die or fork beside a spool, and what it says to the log.

use std::sync::{Arc, Mutex};

use opik_core::exporter::ExportErrorKind;
use opik_core::wire::WireExporter as _;
use tokio::time::sleep;

use super::super::exporter::Spool;
use super::super::options::SpoolOptions;
use super::model_files::{Fault, ModelFiles};
use super::server::{Mood, rows};
use super::world::{DOWN, HOUR, SECOND, World, simulated};

#[test]
fn what_a_killed_process_left_is_taken_over_by_one_that_lives_and_what_a_living_one_has_is_not() {
    simulated(async {
        let (files, options) = (ModelFiles::new(), SpoolOptions::new());
        let of = |process, mood| World::new(files.of_process(process), mood, options.clone());
        let (killed, alive, taking) = (of(1, DOWN), of(2, DOWN), of(3, DOWN));
        // Two that lead nothing, and one that does.
        taking
            .beside_replay(async {
                sleep(SECOND).await;
                killed.put([1, 2]).await.unwrap();
                alive.put([3, 4]).await.unwrap();
                taking.server.is(Mood::Up);
                sleep(40 * SECOND).await;
                assert!(taking.server.rows().is_empty());
                killed.files.kill();
                sleep(40 * SECOND).await;
                assert_eq!(taking.server.rows(), [1, 2]);
                let s = taking.spool.statistics();
                assert_eq!((s.recovered, s.replayed), (2, 2));
            })
            .await;
        alive.server.is(Mood::Up);
        alive.beside_replay(alive.until_empty()).await;
        assert_eq!(alive.server.rows(), [3, 4]);
    });
}

#[test]
fn a_forked_child_changes_nothing_that_is_its_parents() {
    simulated(async {
        let parent = World::new(ModelFiles::new(), DOWN, SpoolOptions::new());
        parent.put([1]).await.unwrap();
        parent.server.is(Mood::Up);
        let sent = async {
            while parent.server.rows().is_empty() {
                sleep(SECOND / 100).await;
            }
        };
        parent.beside_replay(sent).await;
        parent.server.is(DOWN);
        // Sent in full, and the parent may write to it the next moment.
        let before = parent.files.names();
        assert!(before.iter().any(|name| name.ends_with(".seg")));
        let World {
            files,
            server,
            shared,
            spool,
        } = parent;
        drop(spool);
        let mut child = Arc::into_inner(shared).unwrap();
        child.fork();
        let child = Spool::of(Arc::new(child));
        // No thread would send it: the caller learns that the server is down.
        let answer = child.export_rows(&rows([2])).await;
        assert_eq!(answer.unwrap_err().kind(), ExportErrorKind::Unavailable);
        server.is(Mood::Up);
        assert_eq!(child.export_rows(&rows([2])).await.unwrap().accepted, 1);
        assert_eq!(server.rows(), [1, 2]);
        drop(child);
        assert_eq!(files.names(), before);
    });
}

/// Counts warnings, and keeps no word of them.
#[derive(Debug, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!("{value:?} ");
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn there_is_one_warning_for_each_kind_of_trouble_and_no_content_in_it() {
    let seen = Warnings::default();
    let warnings = Arc::clone(&seen.0);
    // With a single subscriber `tracing` asks that of the thread which meets an event first, and a thread of
    // another test has none: then nobody would see it.
    let _second = tracing::Dispatch::new(Warnings::default());
    let _here = tracing::subscriber::set_default(seen);
    simulated(async {
        let options = SpoolOptions::new().max_bytes(30_000).max_age(HOUR);
        let world = World::new(ModelFiles::new(), DOWN, options);
        world
            .beside_replay(async {
                for number in 0..60 {
                    world.put(number * 10..number * 10 + 10).await.unwrap();
                }
                sleep(3 * HOUR).await;
                world.files.inject([Fault::NoSpace; 40]);
                for _ in 0..3 {
                    world.put([1]).await.unwrap_err();
                }
                world.files.inject([]);
                world.put([1]).await.unwrap();
                world.files.vanish();
                world.server.is(Mood::Up);
                world.until_empty().await;
            })
            .await;
    });
    let warnings = warnings.lock().unwrap();
    let about = |words: &str| warnings.iter().filter(|text| text.contains(words)).count();
    for words in [
        "cannot be reached",
        "full, the oldest",
        "older than",
        "no room",
        "damaged",
    ] {
        assert_eq!(about(words), 1, "{words}: {warnings:?}");
    }
    assert_eq!(warnings.len(), 5, "{warnings:?}");
    assert_eq!(about("xxx"), 0);
}
