//! A new migration is a reason to compile again, as they are part of the binary.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
