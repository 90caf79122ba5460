use super::{
    folder::{ATTEMPTS_FILE, DATA_FOLDER, FORMAT_FILE},
    *,
};
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    signal::{SigSet, Signal},
};
use std::{
    env, fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};
use streams::Table;
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

fn layout() -> Layout {
    Layout::default().table(&Table::<u64>::new(b'o')).unwrap()
}

fn open_with(path: &Path, layout: &Layout) -> DiskStore {
    let store = DiskStore::new(path, layout);
    store.open().unwrap();
    store
}

fn open(path: &Path) -> DiskStore {
    open_with(path, &layout())
}

/// A folder for stores, and one in it with an entry in partition 2.
fn with_a_store() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders-0");
    let store = open(&path);
    put(&store, b"oa").unwrap();
    (folder, path)
}

fn put(store: &DiskStore, key: &[u8]) -> anyhow::Result<()> {
    let writes = Writes::from([(key.to_vec(), Some(b"1".to_vec()))]);
    store.apply(2, writes, &Positions::from([("orders".to_owned(), 7)]))
}

fn is_empty(store: &DiskStore) -> bool {
    store.positions(2).unwrap().is_empty() && store.range(2, b"a", b"z", 9).unwrap().is_empty()
}

/// What was put aside, with its time taken off.
fn aside(folder: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_string_lossy().contains("orders-0.broken-20")).collect()
}

#[test]
fn state_and_positions_survive_together_and_are_cleared_together() {
    let (_folder, path) = with_a_store();
    let store = open(&path);
    store.apply(2, Writes::from([(b"ob".to_vec(), None)]), &Positions::new()).unwrap();
    assert_eq!(store.get(2, b"oa").unwrap(), Some(b"1".to_vec()));
    assert_eq!(store.range(2, b"o", b"p", 9).unwrap().len(), 1);
    assert_eq!(store.positions(2).unwrap(), Positions::from([("orders".to_owned(), 7)]));
    assert!(store.positions(1).unwrap().is_empty());
    store.clear(2).unwrap();
    assert!(is_empty(&store));
}

#[test]
fn a_store_with_another_layout_or_format_is_rebuilt_and_not_put_aside() {
    let (folder, path) = with_a_store();
    let other = Layout::default().table(&Table::<Option<u64>>::new(b'o')).unwrap();
    assert!(is_empty(&open_with(&path, &other)));
    put(&open_with(&path, &other), b"oa").unwrap();
    assert!(!is_empty(&open_with(&path, &other)));
    fs::write(path.join(FORMAT_FILE), "2").unwrap();
    assert!(is_empty(&open_with(&path, &other)));
    fs::remove_file(path.join(FORMAT_FILE)).unwrap();
    assert!(is_empty(&open_with(&path, &other)));
    assert_eq!(aside(&folder), Vec::<PathBuf>::new());
}

/// Every file of the store's database.
fn files(below: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(below).unwrap().map(|entry| entry.unwrap().path());
    let (folders, mut found): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    found.extend(folders.iter().flat_map(|folder| files(folder)));
    found.sort();
    found
}

/// So large that a part of it is in tables, beside the journal.
fn with_a_large_store() -> (TempDir, PathBuf) {
    let (folder, path) = with_a_store();
    let store = open(&path);
    let since = Instant::now();
    let mut number = 0_u64;
    while !files(&path).iter().any(|file| file.to_string_lossy().contains("1/tables/")) {
        let value = number.to_be_bytes().repeat(8 * 1024);
        let writes = Writes::from([(format!("o{}", number % 100).into_bytes(), Some(value))]);
        store.apply(2, writes, &Positions::new()).unwrap();
        number += 1;
        assert!(since.elapsed() < DEADLINE, "no table after {number} writes");
    }
    drop(store);
    (folder, path)
}

/// A copy of the store in `from`, in a folder of its own.
fn copy(from: &Path) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders-0");
    for file in files(from) {
        let target = path.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let mut bytes = fs::read(&file).unwrap();
        if file.extension().is_some_and(|extension| extension == "jnl") {
            // It is made in its full size, 64 MiB.
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        }
        fs::write(target, bytes).unwrap();
    }
    (folder, path)
}

/// Bytes without a meaning, the same ones in each run.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..bytes.div_ceil(8)).flat_map(|_| next()).take(bytes).collect()
}

/// What a driver does with a store that fails: it forgets the partition and comes again.
fn is_of_use_again(store: &DiskStore) {
    let used = || {
        store.open()?;
        store.positions(2)?;
        store.range(2, b"a", b"z", usize::MAX)?;
        put(store, b"ob")?;
        store.get(2, b"ob")
    };
    for _ in 0..3 {
        match used() {
            Ok(value) => return assert_eq!(value, Some(b"1".to_vec())),
            Err(_) => drop(store.clear(2)),
        }
    }
    panic!("it fails for ever: {:#}", used().unwrap_err());
}

#[test]
fn a_store_with_garbage_in_any_of_its_files_is_of_use_again() {
    type Spoil = fn(&Path, u64);
    let ways: [Spoil; 7] = [
        |file, _| fs::write(file, "").unwrap(),
        |file, _| fs::write(file, [0xA5; 4_096]).unwrap(),
        |file, seed| {
            let size = fs::metadata(file).unwrap().len();
            fs::write(file, noise(seed, usize::try_from(size).unwrap())).unwrap();
        },
        |file, _| fs::remove_file(file).unwrap(),
        |file, _| {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
        },
        |file, _| {
            let folder = file.parent().unwrap();
            fs::write(folder.join("stray file"), "garbage").unwrap();
        },
        |file, _| fs::create_dir(file.parent().unwrap().join("stray folder")).unwrap(),
    ];
    let (_template, template) = with_a_large_store();
    let count = files(&template).len();
    assert!(count > 6, "{count} files");
    let mut put_aside = 0;
    for spoiled in 0..count {
        for spoil in ways {
            let (folder, path) = copy(&template);
            spoil(&files(&path)[spoiled], spoiled as u64);
            is_of_use_again(&DiskStore::new(&path, &layout()));
            put_aside += aside(&folder).len();
        }
    }
    assert!(put_aside > count, "{put_aside}");
    let (folder, path) = copy(&template);
    let store = open(&path);
    assert_eq!(aside(&folder), Vec::<PathBuf>::new());
    assert!(!is_empty(&store), "{:?}", files(&path));
}

/// What else may be in the place of a store, each put aside.
#[test]
fn whatever_is_in_the_place_of_a_store_is_put_aside() {
    type Spoil = fn(&Path);
    let ways: [Spoil; 7] = [
        |path| {
            fs::remove_dir_all(path).unwrap();
            fs::write(path, "a file").unwrap();
        },
        |path| {
            fs::remove_dir_all(path.join(DATA_FOLDER)).unwrap();
            fs::write(path.join(DATA_FOLDER), "a file").unwrap();
        },
        |path| fs::create_dir(path.join(DATA_FOLDER).join("keyspaces/no number")).unwrap(),
        // To read from it would take for ever.
        |path| {
            fs::remove_file(path.join(FORMAT_FILE)).unwrap();
            nix::unistd::mkfifo(&path.join(FORMAT_FILE), nix::sys::stat::Mode::S_IRWXU).unwrap();
        },
        |path| {
            fs::remove_dir_all(path).unwrap();
            std::os::unix::fs::symlink("nowhere", path).unwrap();
        },
        |path| fs::write(path.join(DATA_FOLDER).join("version"), [70, 74, 76, 9]).unwrap(),
        // The process has ended twice while it opened it.
        |path| fs::write(path.join(ATTEMPTS_FILE), "2").unwrap(),
    ];
    for (number, spoil) in ways.into_iter().enumerate() {
        let (folder, path) = with_a_store();
        spoil(&path);
        let store = open(&path);
        assert!(is_empty(&store), "{number}");
        assert_eq!(aside(&folder).len(), 1, "{number}");
        put(&store, b"oa").unwrap();
        drop(store);
        assert!(!is_empty(&open(&path)), "{number}");
        assert!(!path.join(ATTEMPTS_FILE).exists(), "{number}");
    }
}

#[test]
fn a_file_in_the_place_of_the_folder_above_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/orders-0");
    fs::write(folder.path().join("state"), "a file").unwrap();
    put(&open(&path), b"oa").unwrap();
    let names: Vec<_> =
        files(folder.path()).into_iter().filter(|file| !file.starts_with(&path)).collect();
    let [kept] = &names[..] else { panic!("{names:?}") };
    assert_eq!(fs::read_to_string(kept).unwrap(), "a file");
}

#[test]
fn what_the_process_cannot_change_is_named_until_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let above = folder.path().join("above");
    fs::write(&above, "a file").unwrap();
    let path = above.join("state/orders-0");
    let store = DiskStore::new(&path, &layout());
    for _ in 0..2 {
        let error = format!("{:#}", store.open().unwrap_err());
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert!(error.contains("STATE_DIR"), "{error}");
        assert!(store.positions(2).is_err() && store.clear(2).is_err());
    }
    fs::remove_file(&above).unwrap();
    store.open().unwrap();
    put(&store, b"oa").unwrap();
}

#[test]
fn only_the_latest_of_what_is_put_aside_is_kept() {
    let (folder, path) = with_a_store();
    for text in ["no folder", "none again"] {
        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, text).unwrap();
        assert!(is_empty(&open(&path)));
        let [kept] = &aside(&folder)[..] else { panic!("one is kept") };
        assert_eq!(fs::read_to_string(kept).unwrap(), text);
    }
}

#[test]
fn what_is_no_store_is_not_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders-0");
    fs::create_dir(&path).unwrap();
    assert!(is_empty(&open(&path)));
    fs::remove_dir_all(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("thesis.tex"), "dear reader").unwrap();
    assert!(is_empty(&open(&path)));
    let [kept] = &aside(&folder)[..] else { panic!("it is kept") };
    assert_eq!(fs::read_to_string(kept.join("thesis.tex")).unwrap(), "dear reader");
}

#[test]
fn a_store_that_is_in_use_is_left_alone_and_waited_for() {
    let (folder, path) = with_a_store();
    let store = open(&path);
    let other = DiskStore::new(&path, &layout());
    for other in [&other, &DiskStore::new(&path, &Layout::default())] {
        let error = format!("{:#}", other.open().unwrap_err());
        assert!(error.contains("INSTANCE") && error.contains("Locked"), "{error}");
    }
    assert!(!is_empty(&store));
    drop(store);
    assert!(!is_empty(&other));
    assert_eq!(aside(&folder), Vec::<PathBuf>::new());
}

/// Write until it fails.
fn write_until_it_fails(store: &DiskStore) -> String {
    let since = Instant::now();
    let mut number = 0_u64;
    loop {
        let key = (number % 100).to_be_bytes().to_vec();
        let writes = Writes::from([(key, Some(vec![7; 64 * 1024]))]);
        if let Err(error) = store.apply(2, writes, &Positions::new()) {
            return format!("{error:#}");
        }
        number += 1;
        assert!(since.elapsed() < DEADLINE, "it goes on writing");
    }
}

#[test]
fn a_store_that_can_no_longer_write_is_made_again_when_it_is_cleared() {
    let (folder, path) = with_a_store();
    let store = open(&path);
    // What it writes is flushed to a table on disk, which fails.
    let keyspaces = path.join(DATA_FOLDER).join("keyspaces");
    fs::remove_dir_all(&keyspaces).unwrap();
    fs::write(&keyspaces, "no folder").unwrap();
    write_until_it_fails(&store);
    // An error, as the other partitions are gone as well.
    let error = store.clear(2).unwrap_err();
    assert!(format!("{error:#}").contains("made again"), "{error:#}");
    store.clear(2).unwrap();
    assert!(is_empty(&store));
    put(&store, b"oa").unwrap();
    drop(store);
    assert!(!is_empty(&open(&path)));
    assert_eq!(aside(&folder), Vec::<PathBuf>::new());
}

/// A limit of the size of files stands for a full disk: it needs no root. It is the process's, so
/// the test runs itself again in a process of its own.
#[test]
fn a_full_disk_is_said_and_the_store_is_made_again_when_there_is_room() {
    const NAME: &str = "a_full_disk_is_said_and_the_store_is_made_again_when_there_is_room";
    const INSIDE: &str = "INSIDE_A_FULL_DISK";
    if env::var_os(INSIDE).is_none() {
        let program = env::current_exe().unwrap();
        let mut command = Command::new(program);
        let run = command.args(["--exact", &format!("disk::tests::{NAME}")]).env(INSIDE, "1");
        let output = run.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    // By default, the signal ends the process. The threads of the store inherit the mask.
    SigSet::from(Signal::SIGXFSZ).thread_block().unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    let limit = |bytes: u64| setrlimit(Resource::RLIMIT_FSIZE, bytes, hard).unwrap();
    let (folder, path) = with_a_store();
    let store = open(&path);
    for _ in 0..2 {
        limit(1024 * 1024);
        let error = write_until_it_fails(&store);
        assert!(error.contains(&path.display().to_string()), "{error}");
        let made_again = |error: &str| error.contains("made again");
        assert!(made_again(&format!("{:#}", store.clear(2).unwrap_err())));
        for _ in 0..2 {
            let error = format!("{:#}", store.open().unwrap_err());
            assert!(error.contains("make room on its disk"), "{error}");
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
        limit(hard);
        store.open().unwrap();
        assert!(is_empty(&store));
        put(&store, b"oa").unwrap();
        assert_eq!(store.get(2, b"oa").unwrap(), Some(b"1".to_vec()));
    }
    assert_eq!(aside(&folder), Vec::<PathBuf>::new());
}
