//! Every client keeps the contract of `ChatModel`.

use opik_testkit::{ModelUnderTest, Scenario, Skip, model_suite};

use crate::fake::Fake;
use crate::in_time;
use crate::wire::{CLIENTS, Client, http};

async fn under_test(client: Client, scenario: Scenario) -> ModelUnderTest {
    let fake = Fake::always(client.play(&scenario)).await;
    let model = client.model(&http(), &fake.url);
    let let_go = fake.let_go();
    let let_go = std::sync::Mutex::new(Some(let_go));
    let probe = move || {
        let waits = let_go.lock().unwrap().take();
        async move {
            match waits {
                Some(waits) => waits.await,
                None => false,
            }
        }
    };
    ModelUnderTest::new(model).with_probe(probe).keeping(fake)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_keeps_the_contract() {
    for client in CLIENTS {
        let skips: &[Skip] = if client.1 {
            &[
                (
                    "a_break_is_an_error",
                    "a whole reply has no first words to show",
                ),
                (
                    "a_failure_in_the_middle_is_one_error",
                    "a whole reply has no middle",
                ),
                (
                    "dropping_ends_the_call",
                    "a whole reply has no first event; see limits",
                ),
            ]
        } else {
            &[]
        };
        let report = in_time(model_suite(|scenario| under_test(client, scenario), skips)).await;
        assert!(report.is_ok(), "{client:?}\n{report}");
    }
}
