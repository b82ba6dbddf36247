//! What is promised to those that ask, with numbers in place of connections.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::*;

/// Far more than any of this takes.
const LIMIT: Duration = Duration::from_secs(60);

fn start(readers: &Readers<usize>, count: usize) -> Vec<JoinHandle<()>> {
    (0..count)
        .map(|mut number| {
            let member = readers.join();
            std::thread::Builder::new()
                .spawn(move || member.run(&mut number))
                .unwrap()
        })
        .collect()
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < LIMIT, "it never came to pass");
        std::thread::yield_now();
    }
}

fn asleep(readers: &Readers<usize>) -> usize {
    lock(&readers.0.0.state).asleep.len()
}

fn looking(readers: &Readers<usize>) -> usize {
    lock(&readers.0.0.state).looking
}

/// Who answers.
fn who(readers: &Readers<usize>) -> Receiver<usize> {
    let (answer, wait) = channel();
    let asked = readers.ask(Box::new(move |number| answer.send(*number).unwrap_or(())));
    assert!(asked);
    wait
}

#[test]
fn questions_one_at_a_time_are_all_answered_by_the_same_reader() {
    let readers = Readers::new();
    let threads = start(&readers, 4);
    wait_until(|| asleep(&readers) == 4);
    let answered: HashSet<usize> = (0..200)
        .map(|round| {
            let number = who(&readers).recv_timeout(LIMIT).unwrap();
            // Some find it looking, some asleep. Before it looks it counts as busy, and another one
            // would be woken.
            let looks = round % 2 == 1;
            wait_until(|| asleep(&readers) == 4 || (looks && looking(&readers) == 1));
            number
        })
        .collect();
    assert_eq!(answered.len(), 1, "{answered:?}");
    drop(readers);
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_second_question_does_not_wait_for_the_first() {
    let readers = Readers::new();
    let threads = start(&readers, 2);
    wait_until(|| asleep(&readers) == 2);
    let (begun, wait) = channel();
    let (go, blocked) = channel::<()>();
    let first = Box::new(move |number: &mut usize| {
        begun.send(*number).unwrap();
        blocked.recv_timeout(LIMIT).unwrap();
    });
    assert!(readers.ask(first));
    let busy = wait.recv_timeout(LIMIT).unwrap();
    let other = who(&readers).recv_timeout(LIMIT).unwrap();
    assert_ne!(busy, other);
    go.send(()).unwrap();
    drop(readers);
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

#[test]
fn every_question_of_many_is_answered_once() {
    const ASKERS: usize = 6;
    const EACH: usize = 2_000;
    let readers = Readers::new();
    let threads = start(&readers, 3);
    let answers: Vec<AtomicUsize> = (0..ASKERS * EACH).map(|_| AtomicUsize::new(0)).collect();
    let answers = Arc::new(answers);
    std::thread::scope(|scope| {
        for asker in 0..ASKERS {
            let (readers, answers) = (&readers, &answers);
            scope.spawn(move || {
                for round in 0..EACH {
                    let (answer, wait) = channel();
                    let answers = Arc::clone(answers);
                    assert!(readers.ask(Box::new(move |_| {
                        answers[asker * EACH + round].fetch_add(1, Ordering::Relaxed);
                        answer.send(()).unwrap_or(());
                    })));
                    // Some wait for each, some hand over the next at once.
                    if asker % 2 == 0 {
                        assert_eq!(wait.recv_timeout(LIMIT), Ok(()));
                    }
                }
            });
        }
    });
    drop(readers);
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert!(
        answers
            .iter()
            .all(|answer| answer.load(Ordering::Relaxed) == 1)
    );
}

#[test]
fn what_was_asked_before_the_end_is_answered() {
    let readers = Readers::new();
    let (go, blocked) = channel::<()>();
    let threads = start(&readers, 1);
    assert!(readers.ask(Box::new(move |_| blocked.recv_timeout(LIMIT).unwrap())));
    let waiting: Vec<_> = (0..5).map(|_| who(&readers)).collect();
    readers.close();
    assert!(!readers.ask(Box::new(|_| panic!("asked after the end"))));
    go.send(()).unwrap();
    for wait in waiting {
        assert_eq!(wait.recv_timeout(LIMIT), Ok(0));
    }
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_reader_that_panics_leaves_the_questions_to_others_and_the_last_one_tells() {
    let readers = Readers::new();
    let threads = start(&readers, 2);
    wait_until(|| asleep(&readers) == 2);
    assert!(readers.ask(Box::new(|_| panic!("the first, on purpose"))));
    wait_until(|| lock(&readers.0.0.state).alive == 1);
    assert!(who(&readers).recv_timeout(LIMIT).unwrap() < 2);

    let (go, blocked) = channel::<()>();
    assert!(readers.ask(Box::new(move |_| {
        blocked.recv_timeout(LIMIT).unwrap();
        panic!("the second, on purpose");
    })));
    let lost = who(&readers);
    go.send(()).unwrap();
    assert!(lost.recv_timeout(LIMIT).is_err(), "nobody was left");
    assert!(!readers.ask(Box::new(|_| ())));
    assert_eq!(
        threads
            .into_iter()
            .map(JoinHandle::join)
            .filter(Result::is_err)
            .count(),
        2
    );
}
