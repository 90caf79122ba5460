use super::*;
use std::time::{Duration, Instant};
use streams::Table;
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

fn layout() -> Layout {
    Layout::default().table(&Table::<u64>::new(b'o')).unwrap()
}

/// A folder for stores, and one in it with an entry in partition 2.
fn with_a_store() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders-0");
    let store = DiskStore::open(&path, &layout()).unwrap();
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
    let store = DiskStore::open(&path, &layout()).unwrap();
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
    assert!(is_empty(&DiskStore::open(&path, &other).unwrap()));
    put(&DiskStore::open(&path, &other).unwrap(), b"oa").unwrap();
    assert!(!is_empty(&DiskStore::open(&path, &other).unwrap()));
    fs::write(path.join(FORMAT_FILE), "2").unwrap();
    assert!(is_empty(&DiskStore::open(&path, &other).unwrap()));
    fs::remove_file(path.join(FORMAT_FILE)).unwrap();
    assert!(is_empty(&DiskStore::open(&path, &other).unwrap()));
    assert_eq!(aside(&folder), Vec::<PathBuf>::new());
}

#[test]
fn what_cannot_be_opened_is_put_aside_and_made_again() {
    fn files(below: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(below).unwrap().map(|entry| entry.unwrap().path());
        let (folders, mut found): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
        found.extend(folders.iter().flat_map(|folder| files(folder)));
        found
    }
    let (_template, path) = with_a_store();
    let count = files(&path.join(DATA_FOLDER)).len();
    assert!(count > 2, "{count} files");
    let mut put_aside = 0;
    for spoiled in 0..count {
        for garbage in [&b""[..], &[0xA5; 4_096]] {
            let (folder, path) = with_a_store();
            let mut found = files(&path.join(DATA_FOLDER));
            found.sort();
            fs::write(&found[spoiled], garbage).unwrap();
            let store = DiskStore::open(&path, &layout()).unwrap();
            put_aside += aside(&folder).len();
            // Whether or not something is left of it, it takes what comes.
            put(&store, b"ob").unwrap();
            assert_eq!(store.get(2, b"ob").unwrap(), Some(b"1".to_vec()));
        }
    }
    assert!(put_aside > 0);
}

#[test]
fn only_the_latest_of_what_is_put_aside_is_kept() {
    let (folder, path) = with_a_store();
    for text in ["no folder", "none again"] {
        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, text).unwrap();
        assert!(is_empty(&DiskStore::open(&path, &layout()).unwrap()));
        let [kept] = &aside(&folder)[..] else { panic!("one is kept") };
        assert_eq!(fs::read_to_string(kept).unwrap(), text);
    }
}

#[test]
fn what_is_no_store_is_not_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders-0");
    fs::create_dir(&path).unwrap();
    assert!(is_empty(&DiskStore::open(&path, &layout()).unwrap()));
    fs::remove_dir_all(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("thesis.tex"), "dear reader").unwrap();
    assert!(is_empty(&DiskStore::open(&path, &layout()).unwrap()));
    let [kept] = &aside(&folder)[..] else { panic!("it is kept") };
    assert_eq!(fs::read_to_string(kept.join("thesis.tex")).unwrap(), "dear reader");
}

#[test]
fn a_store_that_is_in_use_is_left_alone() {
    let (folder, path) = with_a_store();
    let store = DiskStore::open(&path, &layout()).unwrap();
    let other = Layout::default();
    for layout in [&layout(), &other] {
        let error = DiskStore::open(&path, layout).err().unwrap();
        assert!(format!("{error:#}").contains("another process"), "{error:#}");
    }
    assert!(!is_empty(&store));
    assert_eq!(aside(&folder), Vec::<PathBuf>::new());
}

/// Spoil the files of an open store, until it refuses to write.
fn make_it_fail(store: &DiskStore, path: &Path) {
    let keyspaces = path.join(DATA_FOLDER).join("keyspaces");
    fs::remove_dir_all(&keyspaces).unwrap();
    fs::write(&keyspaces, "no folder").unwrap();
    let since = Instant::now();
    let mut number = 0_u64;
    // Enough to be flushed to a table on disk, which fails.
    while store
        .apply(
            2,
            Writes::from([(number.to_be_bytes().to_vec(), Some(vec![7; 64 * 1024]))]),
            &Positions::new(),
        )
        .is_ok()
    {
        number = (number + 1) % 100;
        assert!(since.elapsed() < DEADLINE, "it goes on writing");
    }
}

#[test]
fn a_store_that_can_no_longer_write_is_made_again_when_it_is_cleared() {
    let (_folder, path) = with_a_store();
    let store = DiskStore::open(&path, &layout()).unwrap();
    make_it_fail(&store, &path);
    // An error, as the other partitions are gone as well.
    let error = store.clear(2).unwrap_err();
    assert!(format!("{error:#}").contains("made again"), "{error:#}");
    store.clear(2).unwrap();
    assert!(is_empty(&store));
    put(&store, b"oa").unwrap();
    drop(store);
    assert!(!is_empty(&DiskStore::open(&path, &layout()).unwrap()));
}

#[test]
fn a_store_that_cannot_be_made_again_yet_is_made_when_it_can_be() {
    let (folder, path) = with_a_store();
    let store = DiskStore::open(&path, &layout()).unwrap();
    make_it_fail(&store, &path);
    fs::remove_dir_all(&path).unwrap();
    fs::write(&path, "in the way").unwrap();
    for _ in 0..2 {
        let error = store.clear(2).unwrap_err();
        assert!(format!("{error:#}").contains("is lost"), "{error:#}");
        assert!(store.get(2, b"oa").is_err() && put(&store, b"oa").is_err());
    }
    fs::remove_file(&path).unwrap();
    assert!(store.clear(2).is_err());
    put(&store, b"oa").unwrap();
    assert_eq!(aside(&folder), Vec::<PathBuf>::new());
}
