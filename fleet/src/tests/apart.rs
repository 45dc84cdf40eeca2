//! A request cannot reach the objects of another run.

use super::*;

#[tokio::test]
async fn results_within_another_run_are_refused() {
    let world = World::new(5).await;
    world.own.put("tags/victim/request.json", Bytes::from("{}")).await.unwrap();
    for output in
        ["s3://stack/tags/victim/", "s3://stack/tags/victim/results/", "s3://stack/tags/victim/a/b/"]
    {
        world.ask(json!({ "output": output })).await;
        let (_, error) = world.error().await;
        assert!(error.contains("is within the run s3://stack/tags/victim/"), "{error}");
    }
    // A place next to the other run is accepted, and a run may be planned twice.
    world.ask(json!({"output": "s3://stack/tags/victims/"})).await;
    assert!(!world.planned().await.resumed);
    assert!(world.planned().await.resumed);
}
