//! What an address of Opik may carry.

use serde_json::json;

use crate::exchange::{exchange, request};
use crate::world::World;

#[tokio::test]
async fn a_name_and_a_password_in_the_address_of_opik_are_sent_to_it() {
    let world = World::new(&[("AGENT_OPIK_URL", "http://me:secret@$PLACE")]).await;
    let body = json!({"message": "Why?", "streaming": true}).to_string();
    let path = "/trace-analyzer/session/0198ec6e-2222-7000-8000-000000000001";
    let headers = [
        ("Cookie", "sessionToken=alice"),
        ("Comet-Workspace", "team"),
    ];
    let answer = exchange(world.address(), &request("POST", path, &headers, &body)).await;
    assert!(answer.body().contains("data: "), "{}", answer.body());
    let seen = world.opik.seen();
    assert!(seen.len() >= 2, "{seen:?}");
    for call in seen {
        // "me:secret" in base64.
        assert_eq!(
            call.authorization.as_deref(),
            Some("Basic bWU6c2VjcmV0"),
            "{}",
            call.line
        );
    }
}
