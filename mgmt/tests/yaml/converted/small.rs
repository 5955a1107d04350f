//! The graph "small", converted from YAML.

use std::time::Duration;

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("small", declare)
}

/// Declares the resources, their order, and what they send one another.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    let line_added = g.add(Line::new("added", "/tmp/corpus/parts/10-a").content(" b ").trim(true));
    g.add(Line::new("also added", "/tmp/corpus/parts/10-a").after(&line_added));
    g.add(Line::new("b", "/tmp/corpus/parts/20-b").state(LineState::Absent));
    g.add(Line::new("made", "/tmp/corpus/made").create(true).follow_symlinks(true));
    let kv_step = g.add(Kv::new("step").value("2").skiplessthan(true));
    g.add(
        Kv::new("letter")
            .key("of this host")
            .value("b")
            .mapped(true)
            .skiplessthan(true)
            .skipcmpstyle(SkipCmpStyle::String),
    );
    let schedule_job = g.add(
        Schedule::new("job")
            .namespace("of this graph")
            .strategy(PickOrder::Alphabetical)
            .max(2u32)
            .prefer([("role", "web")])
            .persist(true)
            .ttl(Duration::from_secs(60))
            .data("here"),
    );
    g.add(Sysctl::new("net.ipv4.ip_forward", "1").runtime(false).path("/tmp/corpus/sysctl.conf"));
    g.add(
        Sysctl::new("net/ipv4/tcp_rmem", "4096 131072 6291456")
            .runtime(false)
            .path("/tmp/corpus/sysctl.conf")
            .reverse(true),
    );
    g.add(
        Mount::new("/tmp/corpus/full")
            .device("tmpfs")
            .r#type("tmpfs")
            .options(["size=1m", "noexec"])
            .noop(true),
    );
    g.add(
        Net::new("lo")
            .addrs(["127.0.0.1/8", "2001:db8::1/64"])
            .gateway("192.0.2.254")
            .metric(7u32)
            .ip_forward(false)
            .noop(true),
    );
    g.add(Exit::new("not now").code(3u8).noop(true));
    let password_p = g.add(Password::new("p").length(8usize));
    let test_all = g.add(
        Test::new("all")
            .bool(true)
            .str("text")
            .int(-1i64)
            .int8(-8i8)
            .int16(-16i16)
            .int32(-32i32)
            .int64(-64i64)
            .uint(1u64)
            .uint8(8u8)
            .uint16(16u16)
            .uint32(32u32)
            .uint64(64u64)
            .float32(0.5f32)
            .float64(-2.25f64)
            .list(["one", "two"])
            .map([("a", "b")])
            .time(Duration::from_millis(1500))
            .secret(password_p.password())
            .changes(1u32)
            .every(Duration::from_secs(3600))
            .unchanged(true)
            .takes(Duration::from_millis(10))
            .fail(Step::Refresh)
            .fails(2u32)
            .hang(Step::Refresh)
            .sendvalue("hello"),
    );
    g.add(Test::new("chosen").bool(schedule_job.chosen()).list(schedule_job.hosts()));
    g.add(
        Timer::new("grows", Duration::from_secs(3600))
            .grow(Grow::Exponential)
            .max(Duration::from_secs(86400))
            .reset(true),
    );
    g.add(
        Gzip::new("squeezed")
            .path("/tmp/corpus/made.gz")
            .input("/tmp/corpus/parts/20-b")
            .level(9i8),
    );
    g.add(Gzip::new("/tmp/corpus/text.gz").content("hello"));
    let gzip_sent = g.add(Gzip::new("sent").content("hello").sendonly(true));
    g.add(
        Tar::new("packed", ["/tmp/corpus/parts", "/tmp/corpus/parts/20-b"])
            .path("/tmp/corpus/packed")
            .format(TarFormat::Gnu)
            .compress(TarCompress::Gzip)
            .level(9i8),
    );
    g.add(Tar::new("/tmp/corpus/packed.tar", ["/tmp/corpus/parts/"]));
    let tar_tarred = g.add(Tar::new("tarred", ["/tmp/corpus/parts/20-b"]).sendonly(true));
    g.add(
        Unpack::new("unpacked", "/tmp/corpus/archive.tar")
            .path("/tmp/corpus/unpacked")
            .sha256("ad0264f646c20a1d0c4a5b0f8b8fd80e155ba2b02d5bb1e68babcd1f31d8292d")
            .members_max(10u32)
            .bytes_max(1000000u64),
    );
    g.add(File::new("/tmp/corpus/stored").content(kv_step.stored()));
    g.add(File::new("/tmp/corpus/hello").content(test_all.hello()));
    g.add(File::new("/tmp/corpus/sent.gz").content(gzip_sent.compressed()));
    g.add(File::new("/tmp/corpus/sent.tar").content(tar_tarred.content()));
    Ok(())
}
