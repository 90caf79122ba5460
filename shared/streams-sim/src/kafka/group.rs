//! A consumer group: its members, their partitions, its generation, and its offsets.

use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use streams::engine::Offsets;

/// One membership: it ends when the member is replaced or thrown out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Membership {
    /// The instance, whose name is static.
    pub(crate) instance: u32,
    /// Tells one life of the instance from the next.
    member: u64,
    /// The generation that it knows.
    generation: u32,
}

/// The group of one processor.
#[derive(Default)]
pub(crate) struct Group {
    generation: u32,
    members: BTreeMap<u32, u64>,
    joined: u64,
    /// Of each of its topics.
    partitions: i32,
    assignment: BTreeMap<i32, u32>,
    /// Where the group has got to.
    pub(crate) offsets: Offsets,
}

impl Group {
    /// How many partitions its topics have.
    pub(super) fn read(&mut self, partitions: i32) {
        self.partitions = partitions;
    }

    /// Join, or come back: a static member takes its partitions back without a rebalance (KIP-345).
    pub(crate) fn join(&mut self, instance: u32, dice: &mut Rng) -> Membership {
        self.joined += 1;
        if self.members.insert(instance, self.joined).is_none() {
            self.rebalance(dice);
        }
        Membership { instance, member: self.joined, generation: self.generation }
    }

    /// The session of `instance` is over.
    pub(crate) fn expel(&mut self, instance: u32, dice: &mut Rng) {
        if self.members.remove(&instance).is_some() {
            self.rebalance(dice);
        }
    }

    /// Reassign the partitions.
    pub(crate) fn rebalance(&mut self, dice: &mut Rng) {
        self.generation += 1;
        let members: Vec<u32> = self.members.keys().copied().collect();
        let deal =
            |partition| Some((partition, *members.get(dice.usize(0..members.len().max(1)))?));
        self.assignment = (0..self.partitions).filter_map(deal).collect();
    }

    /// What `membership` owns if its member still is one; with the generation of now.
    pub(crate) fn poll(&self, membership: Membership) -> Option<(Membership, BTreeSet<i32>)> {
        let Membership { instance, member, .. } = membership;
        if self.members.get(&instance) != Some(&member) {
            return None;
        }
        let own = self.assignment.iter().filter(|(_, owner)| **owner == instance);
        let own = own.map(|(partition, _)| *partition).collect();
        Some((Membership { generation: self.generation, ..membership }, own))
    }

    /// Whether offsets of `membership` are taken (KIP-447).
    pub(crate) fn accepts(&self, membership: Membership) -> bool {
        self.members.get(&membership.instance) == Some(&membership.member)
            && self.generation == membership.generation
    }
}
