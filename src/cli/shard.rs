//! `--shard`: which pictures of a folder are this machine's.
//!
//! A picture belongs to a shard by its name within the folder alone, so files that are added later move none of the others.

use std::path::Path;
use std::str::FromStr;

/// One of several equal parts of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    /// From 0.
    index: u64,
    count: u64,
}

/// Most shards; beyond it the number is a mistake.
const MOST: u64 = 100_000;

impl Shard {
    fn new(number: u64, count: u64) -> Result<Self, String> {
        match (1..=MOST).contains(&count) && (1..=count).contains(&number) {
            true => Ok(Self { index: number - 1, count }),
            false => {
                Err(format!("there is no shard {number} of {count}; 1/4 is the first of four, and {MOST} are the most"))
            }
        }
    }

    /// What a scheduler says of this task: Slurm of its array, Kubernetes of an indexed job, whose number of completions it
    /// does not tell.
    fn of_task(count: Option<u64>, variable: impl Fn(&str) -> Option<u64>) -> Result<Self, String> {
        if let Some(id) = variable("SLURM_ARRAY_TASK_ID") {
            let first = variable("SLURM_ARRAY_TASK_MIN").ok_or("SLURM_ARRAY_TASK_MIN is missing")?;
            let all = variable("SLURM_ARRAY_TASK_COUNT").ok_or("SLURM_ARRAY_TASK_COUNT is missing")?;
            let step = variable("SLURM_ARRAY_TASK_STEP").unwrap_or(1).max(1);
            if count.is_some_and(|count| count != all) {
                return Err(format!("auto/{} beside an array of {all} tasks", count.unwrap_or(0)));
            }
            let distance = id.checked_sub(first).filter(|distance| distance.is_multiple_of(step));
            return Self::new(distance.ok_or("an array whose tasks are not a step apart; write i/n")? / step + 1, all);
        }
        if let Some(index) = variable("JOB_COMPLETION_INDEX") {
            let count = count.ok_or("Kubernetes does not say how many completions the job has; write auto/N")?;
            return Self::new(index.saturating_add(1), count);
        }
        Err("auto needs the variables of a Slurm array (SLURM_ARRAY_TASK_ID) or of a Kubernetes indexed job \
             (JOB_COMPLETION_INDEX); write i/n"
            .into())
    }

    /// Is the picture of this name, relative to the folder, this shard's?
    pub(super) fn holds(self, name: &Path) -> bool {
        // FNV-1a: the same on every machine and in every version.
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let mut value = 0xcbf2_9ce4_8422_2325;
        for part in name.components() {
            value = part.as_os_str().as_encoded_bytes().iter().copied().chain([b'/']).fold(value, hash);
        }
        // Its low bits hardly depend on the bytes before the last.
        (value ^ value >> 32) % self.count == self.index
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number =
            |text: &str| text.parse::<u64>().map_err(|_| format!("'{text}' is no number; write i/n, auto or auto/n"));
        let variable = |name: &str| std::env::var(name).ok()?.parse().ok();
        match text.split_once('/') {
            None if text == "auto" => Self::of_task(None, variable),
            Some(("auto", count)) => Self::of_task(Some(number(count)?), variable),
            Some((index, count)) => Self::new(number(index)?, number(count)?),
            None => Err(format!("'{text}' is no shard; write i/n, auto or auto/n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_belongs_to_one_shard() {
        let mut held = [0; 4];
        for number in 0..2000 {
            let name = format!("folder {}/{number:05}.png", number % 7);
            let holders: Vec<u64> = (1..=4).filter(|n| Shard::new(*n, 4).unwrap().holds(Path::new(&name))).collect();
            assert_eq!(holders.len(), 1, "{name}: {holders:?}");
            held[holders[0] as usize - 1] += 1;
        }
        assert!(held.iter().all(|count| (400..600).contains(count)), "about equal: {held:?}");
    }

    #[test]
    fn names_decide_alone() {
        let shard: Shard = "2/3".parse().unwrap();
        let own: Vec<&str> =
            ["a.png", "b.png", "c.png", "d/a.png"].into_iter().filter(|n| shard.holds(Path::new(n))).collect();
        assert_eq!(own, OWN, "another rule would redo what other machines have finished");
        for wrong in ["0/3", "4/3", "1/0", "1", "x/3", "1/100001", "auto/x", "", "1/2/3"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    const OWN: [&str; 2] = ["a.png", "d/a.png"];

    #[test]
    fn schedulers_are_understood() {
        let with = |pairs: &[(&str, u64)], count| {
            let pairs: Vec<(String, u64)> = pairs.iter().map(|(name, value)| ((*name).into(), *value)).collect();
            Shard::of_task(count, move |name| pairs.iter().find(|(own, _)| own == name).map(|(_, value)| *value))
        };
        let slurm = |id, first, all, step| {
            [
                ("SLURM_ARRAY_TASK_ID", id),
                ("SLURM_ARRAY_TASK_MIN", first),
                ("SLURM_ARRAY_TASK_COUNT", all),
                ("SLURM_ARRAY_TASK_STEP", step),
            ]
        };
        assert_eq!(with(&slurm(0, 0, 4, 1), None), Shard::new(1, 4));
        assert_eq!(with(&slurm(4, 1, 4, 1), None), Shard::new(4, 4));
        assert_eq!(with(&slurm(7, 1, 4, 3), None), Shard::new(3, 4));
        assert!(with(&slurm(6, 1, 4, 3), None).is_err(), "between two tasks");
        assert!(with(&slurm(9, 1, 4, 1), None).is_err(), "an array with gaps");
        assert!(with(&slurm(1, 1, 4, 1), Some(5)).is_err());
        assert_eq!(with(&[("JOB_COMPLETION_INDEX", 3)], Some(4)), Shard::new(4, 4));
        assert!(with(&[("JOB_COMPLETION_INDEX", 3)], None).is_err());
        assert!(with(&[("JOB_COMPLETION_INDEX", 4)], Some(4)).is_err());
        assert!(with(&[], None).is_err());
    }
}
