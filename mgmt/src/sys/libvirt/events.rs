//! The events of a connection: the only file with `unsafe`, since the crate `virt` has no safe call for them.
//!
//! libvirt gets a function and a pointer to what waits for events, and calls the function on the thread that runs its
//! event loop. What the pointer leads to is freed by libvirt, through the function given for that, after the last call.
#![expect(unsafe_code, reason = "libvirt reports events by function pointers only")]

use std::ffi::{CStr, c_char, c_int, c_ulonglong, c_void};
use std::mem::transmute;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use virt::connect::Connect;
use virt::error::{Error, clear_error_callback};
use virt::event::{event_register_default_impl, event_run_default_impl};
use virt::sys;

use super::error::LibvirtError;
use super::heard::Heard;

/// The pause after the event loop has failed.
const PAUSE: Duration = Duration::from_millis(100);

type Conn = sys::virConnectPtr;
type Dom = sys::virDomainPtr;
type Generic = unsafe extern "C" fn(Conn, Dom, *mut c_void);

/// Starts the event loop of libvirt, which is one for the process; a connection that is opened before has no events.
pub(super) fn begin() -> Result<(), LibvirtError> {
    static BEGUN: Mutex<bool> = Mutex::new(false);
    let mut begun = BEGUN.lock().unwrap_or_else(PoisonError::into_inner);
    if !*begun {
        // Errors are returned; libvirt would print each of them too.
        clear_error_callback();
        let failed = |source| LibvirtError::Refused { doing: "starting the event loop of libvirt".to_owned(), source };
        event_register_default_impl().map_err(failed)?;
        let run = || {
            loop {
                if event_run_default_impl().is_err() {
                    thread::sleep(PAUSE);
                }
            }
        };
        thread::Builder::new().name("libvirt events".to_owned()).spawn(run).map_err(LibvirtError::NoThread)?;
        *begun = true;
    }
    Ok(())
}

/// The functions of one connection that libvirt calls.
#[derive(Debug)]
pub(super) struct Registered(Vec<c_int>);

/// Asks for the events of all domains of a connection, and for its end.
pub(super) fn register(connect: &Connect, heard: &Arc<Heard>) -> Result<Registered, Error> {
    // SAFETY: each number of an event stands for a function with exactly these arguments, by which libvirt calls it
    // (`virConnectDomainEventID`); as an argument, each has the generic type.
    let functions: [(sys::virDomainEventID, Generic); 5] = unsafe {
        let device = transmute::<unsafe extern "C" fn(Conn, Dom, *const c_char, *mut c_void), Generic>(device);
        [
            (
                sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                transmute::<unsafe extern "C" fn(Conn, Dom, c_int, c_int, *mut c_void) -> c_int, Generic>(lifecycle),
            ),
            (sys::VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, device),
            (sys::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, device),
            (sys::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, device),
            (
                sys::VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE,
                transmute::<unsafe extern "C" fn(Conn, Dom, c_ulonglong, *mut c_void), Generic>(balloon),
            ),
        ]
    };
    let mut registered = Registered(Vec::new());
    for (event, function) in functions {
        let opaque = pointer(heard);
        // SAFETY: the connection is open, the function is of the type of this event, and `opaque` is what it expects;
        // it is valid until libvirt calls `free`.
        let id = unsafe {
            let any = std::ptr::null_mut();
            sys::virConnectDomainEventRegisterAny(
                connect.as_ptr(),
                any,
                event as c_int,
                Some(function),
                opaque,
                Some(free),
            )
        };
        if id >= 0 {
            registered.0.push(id);
            continue;
        }
        // SAFETY: libvirt has refused it, and so does not free it.
        unsafe { free(opaque) };
        // A hypervisor may have no events of devices; without those of its domains, it can't be followed.
        if event == sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE {
            return Err(Error::last_error());
        }
    }
    let opaque = pointer(heard);
    // SAFETY: as above. A connection without a server has no such end, and refuses.
    unsafe {
        if sys::virConnectRegisterCloseCallback(connect.as_ptr(), Some(closed), opaque, Some(free)) < 0 {
            free(opaque);
        }
    }
    Ok(registered)
}

/// Ends that; no function is called any more.
pub(super) fn unregister(connect: &Connect, registered: &Registered) {
    // SAFETY: the connection is still open, and the numbers are those that libvirt has given for it. That it may refuse
    // (the server is gone) has no effect.
    unsafe {
        for id in &registered.0 {
            sys::virConnectDomainEventDeregisterAny(connect.as_ptr(), *id);
        }
        sys::virConnectUnregisterCloseCallback(connect.as_ptr(), Some(closed));
    }
}

fn pointer(heard: &Arc<Heard>) -> *mut c_void {
    Box::into_raw(Box::new(Arc::clone(heard))).cast()
}

/// Frees what `pointer` has made.
unsafe extern "C" fn free(opaque: *mut c_void) {
    // SAFETY: libvirt calls this once, with what it was given, after its last use.
    drop(unsafe { Box::from_raw(opaque.cast::<Arc<Heard>>()) });
}

/// Something has happened to a domain.
unsafe fn event(domain: Dom, opaque: *mut c_void) {
    // SAFETY: `opaque` was made by `pointer`, and is freed after the last call.
    let heard = unsafe { &*opaque.cast::<Arc<Heard>>() };
    // SAFETY: libvirt gives a domain that is valid during the call, and so is its name.
    let name = unsafe {
        let name = sys::virDomainGetName(domain);
        if name.is_null() {
            return;
        }
        CStr::from_ptr(name)
    };
    // No panic may leave a function that C has called.
    let _ = catch_unwind(AssertUnwindSafe(|| heard.event(&name.to_string_lossy())));
}

unsafe extern "C" fn lifecycle(_: Conn, domain: Dom, _: c_int, _: c_int, opaque: *mut c_void) -> c_int {
    // SAFETY: the arguments are those that libvirt gives.
    unsafe { event(domain, opaque) };
    0
}

unsafe extern "C" fn device(_: Conn, domain: Dom, _: *const c_char, opaque: *mut c_void) {
    // SAFETY: the arguments are those that libvirt gives.
    unsafe { event(domain, opaque) };
}

unsafe extern "C" fn balloon(_: Conn, domain: Dom, _: c_ulonglong, opaque: *mut c_void) {
    // SAFETY: the arguments are those that libvirt gives.
    unsafe { event(domain, opaque) };
}

unsafe extern "C" fn closed(_: Conn, _: c_int, opaque: *mut c_void) {
    // SAFETY: `opaque` was made by `pointer`, and is freed after the last call.
    let heard = unsafe { &*opaque.cast::<Arc<Heard>>() };
    let _ = catch_unwind(AssertUnwindSafe(|| heard.end()));
}
