//! One message to many: encoded once a parser, transformed once, framed once a wire form.

mod draft;
mod publish;

use std::{collections::HashSet, convert::Infallible, sync::Arc};

use serde::Serialize;

use self::draft::{Draft, What};
pub(crate) use self::publish::{send_shared, show_outgoing};
use crate::{
    channel::Channel,
    close::CloseReason,
    events::Answers,
    handle::Spark,
    id::SparkId,
    message::Payload,
    mount::Mount,
    names::{self, NameError},
    packet::Delivery,
    parser::EncodeError,
    rooms::{Page, Room},
};

/// An event could not be emitted to many.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// A parser has no form for the arguments. Sparks with other parsers may have got it.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The name is none for an event, or reserved.
    #[error(transparent)]
    Name(#[from] NameError),
}

type Filter = Arc<dyn Fn(&Spark) -> bool + Send + Sync>;

/// Among whom the receivers are.
#[derive(Clone)]
enum Scope {
    /// All sparks of these mounts, in the root.
    Mounts(Vec<Arc<Mount>>),
    /// All sparks of the channel.
    Channel,
}

/// A selection of sparks: to write to, to ask, to move. Made by [`Primus::room`](crate::Primus::room),
/// [`Primus::everyone`](crate::Primus::everyone), and the methods of the same names of a mount or a
/// [`Channel`].
///
/// ```
/// # fn f(primus: &primus_core::Primus, spark: &primus_core::handle::Spark) -> Result<(), Box<dyn std::error::Error>> {
/// let reached = primus.except(spark).write("everyone else reads this")?;
/// // Who is in both rooms gets it once.
/// primus.room("rust").room("realtime").except(spark).volatile().emit("typing", &"Ada")?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "a selection does nothing until something is written to it"]
pub struct Audience {
    channel: Channel,
    scope: Scope,
    /// In any of these; empty: wherever they are.
    rooms: Vec<Arc<str>>,
    except: HashSet<SparkId>,
    filter: Option<Filter>,
    delivery: Delivery,
    compress: bool,
}

impl Audience {
    fn new(channel: Channel, scope: Scope) -> Self {
        Self {
            channel,
            scope,
            rooms: Vec::new(),
            except: HashSet::new(),
            filter: None,
            delivery: Delivery::Reliable,
            compress: true,
        }
    }

    pub(crate) fn of_mounts(root: &Channel, mounts: Vec<Arc<Mount>>) -> Self {
        Self::new(root.clone(), Scope::Mounts(mounts))
    }

    pub(crate) fn of_channel(channel: &Channel) -> Self {
        if channel.is_root() {
            let mounts = channel.shared().map(|shared| shared.mounts()).unwrap_or_default();
            return Self::of_mounts(channel, mounts);
        }
        Self::new(channel.clone(), Scope::Channel)
    }

    // ---- who ----

    /// Those in this room; called again, those in any of the rooms. Who is in several gets a message
    /// once.
    pub fn room(mut self, name: &str) -> Self {
        self.rooms.push(name.into());
        self
    }

    /// Leaves a spark out; of one in a channel also the spark that its session has in the root.
    pub fn except(mut self, spark: &Spark) -> Self {
        self.except.extend([spark.id(), spark.root().id()]);
        self
    }

    /// Leaves all of these out.
    pub fn except_all(mut self, sparks: impl IntoIterator<Item = SparkId>) -> Self {
        self.except.extend(sparks);
        self
    }

    /// Leaves out for whom this is false. It is asked for each spark and each message.
    pub fn filter(mut self, filter: impl Fn(&Spark) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(match self.filter {
            None => Arc::new(filter),
            Some(first) => Arc::new(move |spark| first(spark) && filter(spark)),
        });
        self
    }

    // ---- how ----

    /// As [`Spark::volatile`]: who would have to wait for it does not get it.
    pub fn volatile(mut self) -> Self {
        self.delivery = Delivery::Volatile;
        self
    }

    /// As [`Spark::conflate`]: where an older message waits under this key, it makes room.
    pub fn conflate(mut self, key: impl Into<Arc<str>>) -> Self {
        self.delivery = Delivery::Latest(key.into());
        self
    }

    /// As [`Spark::compress`].
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }

    // ---- what ----

    /// Writes a value, encoded once for each parser in use. Returns how many sparks it was queued
    /// for. Never waits for any of them.
    ///
    /// # Errors
    /// When a parser cannot encode the value. Mounts with other parsers may have got it.
    pub fn write<T: Serialize + ?Sized>(&self, value: &T) -> Result<usize, EncodeError> {
        self.publish(&Draft::value(What::Data, &value))
    }

    /// Writes a payload as it is. Returns how many sparks it was queued for.
    pub fn write_message(&self, payload: impl Into<Payload>) -> usize {
        let payload = payload.into();
        let sent: Result<usize, Infallible> = self.publish(&Draft::payload(What::Data, &payload));
        sent.unwrap_or_else(|never| match never {})
    }

    /// Emits an event, encoded once for each parser in use. Returns how many sparks it was queued for.
    ///
    /// # Errors
    /// When the name is none for an event, or reserved, or a parser cannot encode the arguments.
    pub fn emit<T: Serialize + ?Sized>(&self, name: &str, args: &T) -> Result<usize, EmitError> {
        names::check_event(name)?;
        Ok(self.publish(&Draft::value(What::Event(name), &args))?)
    }

    /// Emits an event whose arguments are encoded already, such as those of a [`Message`](crate::Message) that is
    /// passed on. Returns how many sparks it was queued for.
    ///
    /// # Errors
    /// When the name is none for an event, or reserved.
    pub fn emit_message(&self, name: &str, args: impl Into<Payload>) -> Result<usize, NameError> {
        names::check_event(name)?;
        let args = args.into();
        let sent: Result<usize, Infallible> =
            self.publish(&Draft::payload(What::Event(name), &args));
        Ok(sent.unwrap_or_else(|never| match never {}))
    }

    /// Asks all of them; the answers come as a stream. The request is encoded once for each parser.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn request<T>(
        &self,
        name: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<Answers<T>, EmitError> {
        names::check_event(name)?;
        let answers = Answers::new(self.sparks(), |id, asked| {
            let draft = Draft::value(What::Request(id, name), &args);
            self.publish_to(&draft, asked.values().cloned().collect()).map(drop)
        });
        answers.map_err(EmitError::Encode)
    }

    // ---- the sparks themselves ----

    /// Those that are selected at this moment.
    pub fn sparks(&self) -> Vec<Spark> {
        let mut sparks = Vec::new();
        let mut seen = HashSet::new();
        self.visit(&mut |spark| {
            if self.rooms.len() < 2 || seen.insert(spark.id()) {
                sparks.push(spark);
            }
        });
        sparks
    }

    /// Those that are selected of these rooms.
    fn sparks_in(&self, rooms: &[Arc<Room>]) -> Vec<Spark> {
        let mut seen = HashSet::new();
        let mut sparks: Vec<_> = rooms.iter().flat_map(|room| room.sparks()).collect();
        sparks.retain(|spark| (rooms.len() < 2 || seen.insert(spark.id())) && self.selects(spark));
        sparks
    }

    /// How many are selected at this moment.
    pub fn len(&self) -> usize {
        match &self.rooms[..] {
            // The usual questions need no list.
            [one] if self.except.is_empty() && self.filter.is_none() && self.is_whole() => {
                self.channel.rooms().get(one).map_or(0, |room| room.len())
            }
            [] if self.except.is_empty() && self.filter.is_none() => match &self.scope {
                Scope::Mounts(mounts) => mounts.iter().map(|mount| mount.sessions()).sum(),
                Scope::Channel => self.channel.len(),
            },
            _ => self.sparks().len(),
        }
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts them all into a room. Returns how many.
    ///
    /// # Errors
    /// When the name is none for a room.
    pub fn join_all(&self, room: &str) -> Result<usize, NameError> {
        names::check(room)?;
        Ok(self.sparks().iter().filter(|spark| spark.join(room).is_ok()).count())
    }

    /// Takes them all out of a room. Returns how many were in it.
    pub fn leave_all(&self, room: &str) -> usize {
        self.sparks().iter().filter(|spark| spark.leave(room)).count()
    }

    /// Ends them all. Returns how many.
    pub fn end_all(&self, reason: &CloseReason) -> usize {
        let sparks = self.sparks();
        sparks.iter().for_each(|spark| spark.end(reason.clone()));
        sparks.len()
    }

    /// Who is present in the rooms that are selected, by [`Spark::join_as`]: at most `most` members
    /// behind `after`, in the order of their ids.
    ///
    /// ```
    /// # fn f(primus: &primus_core::Primus) {
    /// let first = primus.room("rust").members(None, 50);
    /// let second = primus.room("rust").members(first.next.as_deref(), 50);
    /// # }
    /// ```
    pub fn members(&self, after: Option<&str>, most: usize) -> Page {
        let rooms = self.rooms.iter().filter_map(|room| self.channel.rooms().get(room));
        let mut pages: Vec<Page> = rooms.map(|room| room.page(after, most)).collect();
        if pages.len() == 1 {
            return pages.remove(0);
        }
        let more = pages.iter().any(|page| page.next.is_some());
        let mut members: Vec<_> = pages.into_iter().flat_map(|page| page.members).collect();
        members.sort_by(|one, other| one.id.cmp(&other.id));
        members.dedup_by(|one, other| one.id == other.id);
        let more = more || members.len() > most;
        members.truncate(most);
        let next = members.last().filter(|_| more).map(|member| Arc::clone(&member.id));
        Page { members, next }
    }

    /// How many members are present; of several rooms the sum.
    pub fn count_members(&self) -> usize {
        let rooms = self.rooms.iter().filter_map(|room| self.channel.rooms().get(room));
        rooms.map(|room| room.count_present()).sum()
    }

    /// Whether the scope has all sparks of the channel.
    fn is_whole(&self) -> bool {
        match &self.scope {
            Scope::Channel => true,
            Scope::Mounts(mounts) => {
                let all = self.channel.shared().map_or(0, |shared| shared.mounts().len());
                mounts.len() == all
            }
        }
    }

    fn selects(&self, spark: &Spark) -> bool {
        let here = match &self.scope {
            Scope::Channel => true,
            Scope::Mounts(_) if self.rooms.is_empty() => true,
            Scope::Mounts(mounts) => {
                mounts.iter().any(|mount| Arc::ptr_eq(mount, spark.session().mount()))
            }
        };
        here && !self.except.contains(&spark.id())
            && self.filter.as_ref().is_none_or(|filter| filter(spark))
    }

    /// Visits those that are selected; those in several rooms once for each.
    fn visit(&self, visit: &mut dyn FnMut(Spark)) {
        let mut offer = |spark: Spark| {
            if self.selects(&spark) {
                visit(spark);
            }
        };
        match (&self.rooms[..], &self.scope) {
            ([], Scope::Mounts(mounts)) => {
                for mount in mounts {
                    mount.registry.visit(|session| {
                        offer(Spark::from_session(session));
                        true
                    });
                }
            }
            ([], Scope::Channel) => self.channel.all().into_iter().for_each(offer),
            (rooms, _) => {
                for room in rooms.iter().filter_map(|room| self.channel.rooms().get(room)) {
                    room.sparks().into_iter().for_each(&mut offer);
                }
            }
        }
    }
}
