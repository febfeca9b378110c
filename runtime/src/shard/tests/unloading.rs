//! When sets and isolates go, and when they stay.

use super::*;

#[test]
fn a_new_set_takes_new_requests_and_the_old_one_is_unloaded_when_its_last_pin_ends() {
    on_shard(|| async {
        let world = serve(&[auth("1.4.0"), MIDDLE, FRONT], "front", Limits::ample()).await;
        let held = world.shard.admit(0, None, arrival()).unwrap();

        let schema = SampleSchema::new(SCHEMA).unwrap();
        let new = programs(&schema, &[auth("2.0.0"), MIDDLE, FRONT]);
        let set = solve_samples(&new, "front").unwrap();
        world.shard.load(Arc::clone(&new[0])).await.unwrap();
        world.shard.wire(Arc::clone(&set)).unwrap();
        world.publish(set);
        world.shard.sweep();

        let fresh = world.shard.admit(0, None, arrival()).unwrap();
        assert_eq!((held.epoch(), fresh.epoch()), (1, 2));
        let url = "http://shop/?pause=1";
        assert_eq!(
            world.get(&fresh, url).await.unwrap(),
            ["2.0.0"; 7].join(" ")
        );
        assert_eq!(world.get(&held, url).await.unwrap(), ["1.4.0"; 7].join(" "));
        let both = ["auth@1.4.0", "auth@2.0.0", "front@1.0.0", "middle@1.0.0"];
        assert_eq!(world.loaded(), both);

        drop(held);
        while world.loaded().len() == both.len() {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.loaded(), both[1..]);
    });
}

/// The end of an older set's last pin falls between a deployment's wiring and its publication.
#[test]
fn a_set_that_is_about_to_be_published_survives_the_unloading_of_another() {
    on_shard(|| async {
        let world = serve(&[auth("1.0.0"), MIDDLE, FRONT], "front", Limits::ample()).await;
        let held = world.shard.admit(0, None, arrival()).unwrap();
        let schema = SampleSchema::new(SCHEMA).unwrap();
        let mut sets = Vec::new();
        for version in ["1.1.0", "1.2.0"] {
            let programs = programs(&schema, &[auth(version), MIDDLE, FRONT]);
            let set = solve_samples(&programs, "front").unwrap();
            world.shard.load(Arc::clone(&programs[0])).await.unwrap();
            world.shard.wire(Arc::clone(&set)).unwrap();
            sets.push(set);
        }
        world.publish(sets.remove(0));
        drop(held);
        while world.loaded().contains(&"auth@1.0.0".to_owned()) {
            tokio::task::yield_now().await;
        }
        world.publish(sets.remove(0));
        let pin = world.shard.admit(0, None, arrival()).unwrap();
        let seen = world.get(&pin, "http://shop/?pause=0").await.unwrap();
        assert_eq!(seen, ["1.2.0"; 7].join(" "));
    });
}

/// A rollback to a set that still drains, whose last pin ends between wiring and publication.
#[test]
fn a_draining_set_that_is_about_to_be_published_again_stays() {
    on_shard(|| async {
        let world = serve(&[auth("1.0.0"), MIDDLE, FRONT], "front", Limits::ample()).await;
        let old = Arc::clone(world.routing.load().combinations().base());
        let held = world.shard.admit(0, None, arrival()).unwrap();
        let schema = SampleSchema::new(SCHEMA).unwrap();
        let programs = programs(&schema, &[auth("1.1.0"), MIDDLE, FRONT]);
        let set = solve_samples(&programs, "front").unwrap();
        world.shard.load(Arc::clone(&programs[0])).await.unwrap();
        world.shard.wire(Arc::clone(&set)).unwrap();
        world.publish(set);
        world.shard.sweep();

        world.shard.wire(Arc::clone(&old)).unwrap();
        let token = isolith_versions::evidence::Choice::Token;
        let again = world.shard.admit_to(old.digest(), token, arrival());
        drop((held, again.unwrap()));
        world.shard.sweep();
        world.publish(old);
        let pin = world.shard.admit(0, None, arrival()).unwrap();
        let seen = world.get(&pin, "http://shop/?pause=0").await.unwrap();
        assert_eq!(seen, ["1.0.0"; 7].join(" "));
        // Out of force once more, it goes.
        drop(pin);
        world.shard.sweep();
        assert!(!world.loaded().contains(&"auth@1.1.0".to_owned()));
    });
}
