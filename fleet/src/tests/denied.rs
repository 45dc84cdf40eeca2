//! Denied images: rows up to the limit; beyond it the run ends and reports how to resume it.

use super::*;
use tagfleet_pipeline::denied;
use tagfleet_pipeline::infer::InferError;
use tagfleet_pipeline::testing::denying_bucket::DenyingBucket;

/// Infers as a worker that may not read images of whose number that holds, and leaves its record.
async fn infer_denied(world: &World, is_denied: fn(usize) -> bool) -> Result<(), InferError> {
    let fleet = world.fleet().await;
    let request = fleet.request().await.unwrap();
    let number = |key: &str| key.trim_start_matches("photos/").trim_end_matches(".jpg").parse().unwrap();
    let source = DenyingBucket::new(Arc::new(world.source.clone()), move |key| is_denied(number(key)));
    let worker = Worker {
        queue: world.queue.clone(),
        run: fleet.run.clone(),
        keys: fleet.keys.clone(),
        model: request.model.id(),
        ..tagfleet_pipeline::testing::worker(Arc::new(source), fleet.output.clone(), Duration::from_secs(60))
    };
    let ended = infer(worker, LengthTagger::threads(2, 3), &Stop::default()).await;
    let end = match &ended {
        Ok(_) => WorkerEnd::QueueEmpty,
        Err(error @ InferError::Denied(_)) => WorkerEnd::TooManyDenied(error.to_string()),
        Err(error) => WorkerEnd::Failed(error.to_string()),
    };
    let record = UsageRecord::Worker(WorkerUsage { ended: Some(end), ..usage_of_a_worker() });
    usage::put(fleet.output.as_ref(), &fleet.keys, "worker-a", &record).await.unwrap();
    ended.map(|_| ())
}

#[tokio::test]
async fn a_few_denied_images_are_failed_rows_of_a_complete_run() {
    let world = World::new(2500).await;
    world.ask(json!({})).await;
    world.split().await;
    infer_denied(&world, |number| number % 100 == 0).await.unwrap();
    let checked = world.check(1, false, None).await;
    let finished = world.finish(checked.groups, None).await;
    assert_eq!((finished.state, finished.failed), (State::Complete, 275));
    let summary = read_summary(&world.fleet().await).await.unwrap();
    assert_eq!((summary.failed["denied"], summary.failed["corrupt"]), (25, 250));
    assert!(summary.text().contains("25 denied"), "{}", summary.text());
}

#[tokio::test]
async fn too_many_denied_images_end_the_run_until_they_are_accepted() {
    let world = World::new(2500).await;
    world.ask(json!({})).await;
    world.split().await;
    let error = infer_denied(&world, |number| number < 50).await.unwrap_err();
    assert!(matches!(error, InferError::Denied(_)), "{error}");
    let problem = Problem { error: "States.TaskFailed".to_owned(), cause: "it ended".to_owned() };
    let checked = world.check(1, false, Some(&problem)).await;
    assert!(!checked.again, "another round would come to the same");
    let finished = world.finish(checked.groups, Some(&problem)).await;
    assert_eq!(finished.state, State::Incomplete);
    let told = read_summary(&world.fleet().await).await.unwrap().problem.unwrap();
    insta::assert_snapshot!(told, @r#"at least 50 of 2500 images cannot be read, and a run accepts at most 25 such images as failed rows (1 % of its images, but 10 in any case); one of them: memory: "photos/000000.jpg": AccessDenied: Access Denied; permit reading them and run `tagfleet resume nightly-1`, or accept them as failed rows with `tagfleet resume nightly-1 --accept-denied`"#);

    let fleet = world.fleet().await;
    world.own.put(&StackKeys::denied_accepted(&fleet.run), Bytes::new()).await.unwrap();
    // The next execution, planned after that worker has ended.
    let planned = usage::FunctionUsage {
        version: USAGE_VERSION,
        function: "splitter".to_owned(),
        action: "plan".to_owned(),
        began: 1000,
        milliseconds: 1,
        memory_mb: 1,
        requests: Requests::default(),
    };
    let record = UsageRecord::Function(planned);
    usage::put(fleet.output.as_ref(), &fleet.keys, "plan-2", &record).await.unwrap();
    assert!(world.planned().await.resumed);
    world.lose_messages().await;
    assert!(world.check(0, true, None).await.again, "what an earlier execution's workers said is past");
    infer_denied(&world, |number| number < 50).await.unwrap();
    let checked = world.check(1, true, None).await;
    let finished = world.finish(checked.groups, None).await;
    assert_eq!((finished.state, finished.failed), (State::Complete, 50 + 245));
    assert_eq!(denied::announced(fleet.output.as_ref(), &fleet.keys).await.unwrap(), 50);
}
