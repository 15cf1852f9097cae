//! What holds of floors, whatever happens.

use super::*;

// === impl World ===

impl World {
    /// What is counted of floors is what there is of instances.
    pub(super) fn check_floors(&self, dispatch: &Dispatch) {
        self.check_starts(dispatch);
        if self.stopped {
            return;
        }
        for (generation, _) in GENERATIONS {
            let generation = Generation(generation);
            let own = |what: fn(&State) -> bool| {
                let standing = dispatch.instances.values().filter(|instance| {
                    instance.provisioned
                        && instance.generation == generation
                        && what(&instance.state)
                });
                standing.count() as u32
            };
            let starting = own(|state| matches!(state, State::Starting));
            let up =
                own(|state| matches!(state, State::Idle | State::Busy(..) | State::Shared { .. }));
            assert_eq!(dispatch.floors.counts(generation), (starting, up), "{generation:?}");
            let queue = dispatch.queues.get(&generation);
            let (provisioning, kept) =
                queue.map_or((0, 0), |queue| (queue.provisioning, queue.kept.len()));
            assert_eq!(provisioning, starting);
            assert!(kept as u32 <= up);
            if let Some(shown) = dispatch.provisioned(generation) {
                assert!(starting + up <= shown.wanted, "more than wanted");
                assert!(!self.retired.contains(&generation), "a retired one is provisioned");
            }
        }
    }

    /// As many starts for floors are under way as are counted, no more than may be, no more of one
    /// function than its share, and whatever is missing will be looked at again.
    fn check_starts(&self, dispatch: &Dispatch) {
        let starting = |id: &&InstanceId| {
            self.instances.get(*id).is_some_and(|(_, seen)| *seen == Seen::Starting)
        };
        let under_way = self.for_floors.iter().filter(starting).count() as u32;
        assert_eq!(dispatch.provisioning, under_way);
        assert!(under_way <= LIMITS.provisioning);
        if self.stopped {
            return;
        }
        for function in 0..FUNCTIONS {
            let own = GENERATIONS.iter().filter(|(_, owner)| *owner == function);
            let starting = own.map(|(g, _)| dispatch.floors.counts(Generation(*g)).0);
            assert!(
                starting.sum::<u32>() <= LIMITS.provisioning.div_ceil(2),
                "more than its share"
            );
        }
        if self.lacking(dispatch) {
            let looked_at = under_way > 0 || dispatch.next_expiry().is_some();
            assert!(looked_at, "something is missing and nobody looks");
        }
    }

    /// Whether any floor has fewer up than it wants.
    fn lacking(&self, dispatch: &Dispatch) -> bool {
        let all = GENERATIONS.iter().map(|(generation, _)| Generation(*generation));
        all.filter_map(|it| dispatch.provisioned(it)).any(|shown| shown.up < shown.wanted)
    }

    /// Gives the machine all it could want, and finds every floor met: neither the rate nor the few that
    /// are started at once, nor a function that wants many, keeps anything from anybody for ever.
    pub(super) fn meet(&mut self, dispatch: &mut Dispatch) {
        dispatch.set_capacity(64);
        for _ in 0..1_000 {
            if self.stopped || !self.lacking(dispatch) {
                return;
            }
            dispatch.observe(Facts { used: 0, available: u64::MAX });
            self.step(dispatch, &Op::Ready(0));
            self.step(dispatch, &Op::Tick(1_000));
            self.check_floors(dispatch);
        }
        panic!("a floor that is never met");
    }
}
