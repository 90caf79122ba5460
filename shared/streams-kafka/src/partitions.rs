//! How many partitions topics have, against the numbers of their contracts: those say where a key
//! belongs, whatever was done to the topic since.

use crate::access::{explain, refusal_of};
use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
};
use std::{collections::BTreeMap, time::Duration};
use streams::{
    partition,
    topic::{PartitionCount, TopicSpec, Writers},
};

const TIMEOUT: Duration = Duration::from_secs(3);

/// How often a reader looks whether a topic has other partitions than before.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// The topics have another number of partitions than the setting says. No waiting cures that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is {setting}, but the topics have {found} partitions. With another number most keys would \
     be elsewhere, so it cannot change: start with {found} (`./shop up --partitions {found}`), or \
     with {setting} in a shop without data (`--fresh`, or --dir DIR for another shop)",
    partition::SETTING
)]
pub(crate) struct WrongCount {
    setting: i32,
    found: i32,
}

/// A topic that is not there, or not any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no topic `{0}`; `./shop provision topics` makes it")]
pub(crate) struct NoTopic(String);

/// The partitions that some topics have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Partitions {
    topics: Vec<(&'static str, PartitionCount, Writers)>,
    counts: BTreeMap<&'static str, i32>,
}

impl Partitions {
    /// Ask Kafka. A topic that comes twice counts once.
    pub(crate) fn ask<C: ConsumerContext>(
        consumer: &BaseConsumer<C>,
        topics: impl IntoIterator<Item = &'static TopicSpec>,
    ) -> anyhow::Result<Self> {
        let mut partitions = Self::default();
        let metadata = consumer.fetch_metadata(None, TIMEOUT)?;
        for topic in topics {
            let found = metadata.topics().iter().find(|found| found.name() == topic.name);
            let count = found.map_or(0, |found| found.partitions().len());
            // Among all are only those that one may see; asked by name, Kafka tells why not.
            let count = if count == 0 { partitions_of(consumer, topic.name)? } else { count };
            if partitions.counts.insert(topic.name, i32::try_from(count)?).is_none() {
                partitions.topics.push((topic.name, topic.partitions, topic.writers));
            }
        }
        Ok(partitions)
    }

    /// The same for topics that were there; none while Kafka is away, which says nothing of them.
    ///
    /// # Errors
    /// [`NoTopic`].
    pub(crate) fn look<C: ConsumerContext>(
        consumer: &BaseConsumer<C>,
        topics: impl IntoIterator<Item = &'static TopicSpec>,
    ) -> Result<Option<Self>, NoTopic> {
        match Self::ask(consumer, topics) {
            Ok(partitions) => Ok(Some(partitions)),
            Err(error) => error.downcast().map_or(Ok(None), Err),
        }
    }

    /// Of those of `topics` that there are.
    pub(crate) fn of_those_there<C: ConsumerContext>(
        consumer: &BaseConsumer<C>,
        topics: &[&'static TopicSpec],
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let metadata = consumer.fetch_metadata(None, patience)?;
        let there: Vec<_> = metadata.topics().iter().map(|found| found.name()).collect();
        let there = topics.iter().filter(|topic| there.contains(&topic.name)).copied();
        Self::ask(consumer, there)
    }

    /// Of these topics alone, in their order.
    pub(crate) fn among(&self, topics: &[&'static TopicSpec]) -> Self {
        let known = |topic: &&'static TopicSpec| Some((topic.name, *self.counts.get(topic.name)?));
        Self {
            topics: topics.iter().map(|it| (it.name, it.partitions, it.writers)).collect(),
            counts: topics.iter().filter_map(known).collect(),
        }
    }

    /// How many `topic` has.
    pub(crate) fn of(&self, topic: &str) -> i32 {
        self.counts.get(topic).copied().unwrap_or(0)
    }

    /// That the setting is the number that these topics were made with. A topic can be given more
    /// later, and one can be made again with fewer. So if one has the number of the setting, what
    /// the others have is theirs; if none has it, the setting is wrong.
    ///
    /// # Errors
    /// [`WrongCount`].
    pub(crate) fn agree(&self) -> Result<(), WrongCount> {
        let set = self.topics.iter().filter(|(_, count, _)| *count == PartitionCount::Setting);
        let found: Vec<i32> = set.map(|(name, ..)| self.of(name)).collect();
        let setting = partition::count();
        match found.iter().min() {
            Some(least) if !found.contains(&setting) => Err(WrongCount { setting, found: *least }),
            Some(_) | None => Ok(()),
        }
    }

    /// That each has as many as its contract says, at least.
    ///
    /// # Errors
    /// Which one has fewer, and the way out.
    pub(crate) fn suffice(&self) -> anyhow::Result<()> {
        for (name, wanted, _) in &self.topics {
            let (found, wanted) = (self.of(name), wanted.number());
            anyhow::ensure!(
                found >= wanted,
                "`{name}` has {found} partitions instead of {wanted}, so some keys have no place: \
                 add the missing ones (kafka-topics --alter --partitions {wanted}), or \
                 delete it and run `shop provision topics`"
            );
        }
        Ok(())
    }

    /// Which topics have more than that, and what it means.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let more = self.topics.iter().filter(|(name, wanted, _)| self.of(name) > wanted.number());
        let remark = |(name, wanted, writers): &(&str, PartitionCount, Writers)| {
            let (found, wanted) = (self.of(name), wanted.number());
            let meaning = match writers {
                Writers::Cdc => "rows are read wherever they are, and the latest of a key counts",
                Writers::AnyProcess | Writers::One(_) | Writers::Several(_) => {
                    "keys stay where they were; a record beyond them becomes a dead letter, and a \
                     replay puts it where it belongs"
                }
            };
            let of = "of its contract";
            format!("{name} has {found} partitions instead of the {wanted} {of}: {meaning}")
        };
        more.map(remark).collect()
    }

    /// What a member gets that the group has given `given`. The group deals out the topics one by
    /// one, so topics with different numbers would get to different members. So the first topic
    /// decides, and partition p of all others follows. What is beyond the contract goes to the
    /// owner of p modulo the number of the contract.
    pub(crate) fn dealt(&self, given: &[(String, i32)]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        let Some((leader, partitions, _)) = self.topics.first().copied() else { return list };
        let partitions = partitions.number();
        let is_task = |task: i32| {
            given.iter().any(|(topic, partition)| topic == leader && *partition == task)
        };
        for (topic, ..) in &self.topics {
            for partition in (0..self.of(topic)).filter(|p| is_task(p % partitions)) {
                list.add_partition(topic, partition);
            }
        }
        list
    }
}

/// The number of partitions of `topic`.
pub(crate) fn partitions_of<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
) -> anyhow::Result<usize> {
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let found = metadata.topics().first();
    let partitions = found.map_or(0, |topic| topic.partitions().len());
    if partitions == 0 {
        let denied = found.and_then(|topic| topic.error()).map(RDKafkaErrorCode::from);
        return Err(match denied.filter(|code| refusal_of(*code).is_some()) {
            Some(code) => explain(KafkaError::MetadataFetch(code).into()).context(topic.to_owned()),
            None => NoTopic(topic.to_owned()).into(),
        });
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(counts: &[(&'static str, i32, i32)]) -> Partitions {
        let topic = |(name, _, wanted): &(&'static str, i32, i32)| {
            (*name, PartitionCount::Fixed(*wanted), Writers::AnyProcess)
        };
        Partitions {
            topics: counts.iter().map(topic).collect(),
            counts: counts.iter().map(|(name, found, _)| (*name, *found)).collect(),
        }
    }

    /// Topics that have as many as the setting says, by contract.
    fn set(counts: &[(&'static str, i32)]) -> Partitions {
        let topic =
            |(name, _): &(&'static str, i32)| (*name, PartitionCount::Setting, Writers::AnyProcess);
        Partitions {
            topics: counts.iter().map(topic).collect(),
            counts: counts.iter().copied().collect(),
        }
    }

    fn dealt(partitions: &Partitions, given: &[(&str, i32)]) -> Vec<(String, i32)> {
        let given: Vec<_> = given.iter().map(|(topic, p)| ((*topic).to_owned(), *p)).collect();
        let list = partitions.dealt(&given);
        let pair = |e: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            (e.topic().to_owned(), e.partition())
        };
        list.elements().iter().map(pair).collect()
    }

    #[test]
    fn a_task_is_partition_p_of_every_topic_whatever_they_have_grown_to() {
        let equal = partitions(&[("a", 3, 3), ("b", 3, 3)]);
        let all = [("a", 0), ("a", 2), ("b", 0), ("b", 2)];
        let owned = |places: &[(&str, i32)]| {
            places.iter().map(|(topic, p)| ((*topic).to_owned(), *p)).collect::<Vec<_>>()
        };
        assert_eq!(dealt(&equal, &all), owned(&all));
        // Range gives the members of `b` others than those of `a`.
        let grown = partitions(&[("a", 3, 3), ("b", 6, 3)]);
        let given = [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2)];
        let expected = [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 3), ("b", 4)];
        assert_eq!(dealt(&grown, &given), owned(&expected));
        let leader = partitions(&[("a", 6, 3), ("b", 3, 3)]);
        let given = [("a", 3), ("a", 4), ("a", 5), ("b", 2)];
        assert!(dealt(&leader, &given).is_empty(), "the first three are another member's");
        let given = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)];
        assert_eq!(dealt(&leader, &given).len(), 9);
    }

    #[test]
    fn a_setting_that_no_topic_has_is_refused_with_both_numbers_and_the_ways_out() {
        assert_eq!(partition::count(), 3);
        for agreed in [&[("a", 3), ("b", 3)][..], &[("a", 6), ("b", 3)], &[("a", 1), ("b", 3)], &[]]
        {
            assert_eq!(set(agreed).agree(), Ok(()), "{agreed:?}");
        }
        for (other, found) in [(&[("a", 6), ("b", 6)][..], 6), (&[("a", 12), ("b", 6)], 6)] {
            let refused = set(other).agree().unwrap_err();
            assert_eq!(refused, WrongCount { setting: 3, found });
        }
        assert_eq!(partitions(&[("a", 6, 1)]).agree(), Ok(()), "no number of the setting");
        let refused = set(&[("a", 6)]).agree().unwrap_err().to_string();
        for named in ["PARTITIONS is 3", "have 6 partitions", "--partitions 6", "--fresh"] {
            assert!(refused.contains(named), "{named}: {refused}");
        }
    }

    #[test]
    fn too_few_are_refused_with_the_way_out_and_more_are_told() {
        let few = partitions(&[("a", 1, 3)]);
        let refused = few.suffice().unwrap_err().to_string();
        assert!(refused.contains("`a` has 1 partitions instead of 3"), "{refused}");
        assert!(refused.contains("shop provision topics"), "{refused}");
        let more = partitions(&[("a", 3, 3), ("b", 6, 3)]);
        more.suffice().unwrap();
        let [remark] = &more.remarks()[..] else { panic!("{:?}", more.remarks()) };
        assert!(remark.starts_with("b has 6 partitions instead of the 3"), "{remark}");
    }
}
