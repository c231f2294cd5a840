"""Ends of jobs are told by e-mail and webhook: to real servers, at least once, and without patient data."""

import json
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Lock

import pytest
from pydantic import SecretStr
from sqlmodel import col, select, update

from adit_core.db import (
    Channel,
    Job,
    JobEnd,
    JobEvent,
    JobKind,
    JobStatus,
    Notification,
    TaskStatus,
    User,
)
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import InvalidInput, NotificationFailed
from adit_core.services.claims import claim_task, finish_task, unfinished_task_ids
from adit_core.services.job_actions import cancel_job, retry_failed
from adit_core.services.messengers import configured_messengers
from adit_core.services.notify import ATTEMPTS, Messenger, News, Told, tell_all_due
from adit_core.services.progress import TaskCounts
from adit_core.services.webhook import signature
from adit_core.settings import Settings
from tests.certificates import Authority
from tests.fakes.launcher import FakeLauncher
from tests.fakes.mail_server import FakeMailServer
from tests.fakes.web_peer import Exchange, FakeWebPeer
from tests.rows import load, make_job, make_user
from tests.web_pages import another_job

DONE = TaskCounts(planned=1, delivered=1, sent=1, bytes_sent=1)
WEB_URL = "https://adit.example/"


@dataclass
class Recorder:
    """A messenger that remembers what it told, and fails as often as it should."""

    fails: int = 0
    news: list[News] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def tell(self, news: News) -> None:
        with self.lock:
            if self.fails:
                self.fails -= 1
                raise NotificationFailed("The mail server is away.")
            self.news.append(news)


@dataclass
class Office:
    """A user who wants e-mails, and a job of hers that is called after a patient."""

    db: Database
    ada: User
    job_id: int

    def end_job(self, status: TaskStatus = TaskStatus.SUCCESS) -> None:
        for task_id in unfinished_task_ids(self.db, self.job_id):
            claim_task(self.db, task_id, token="worker", lease=60)
            counts = DONE if status is TaskStatus.SUCCESS else None
            finish_task(
                self.db, task_id, token="worker", status=status, message="Doe^Jane: lost.", counts=counts
            )

    def tell(self, messengers: dict[Channel, Messenger]) -> Told:
        return tell_all_due(self.db, messengers, web_url=WEB_URL)

    def let_time_pass(self) -> None:
        with self.db.session() as session:
            session.exec(update(Notification).values(due_at=utc_now() - timedelta(seconds=1)))
            session.commit()

    def outbox(self) -> list[Channel]:
        with self.db.reading() as session:
            chosen = select(Notification).order_by(col(Notification.id))
            return [notification.channel for notification in session.exec(chosen)]

    def told(self) -> list[str]:
        with self.db.reading() as session:
            chosen = select(JobEvent).where(JobEvent.job_id == self.job_id, col(JobEvent.task_id).is_(None))
            events = session.exec(chosen.order_by(col(JobEvent.id)))
            return [event.message for event in events if "told" in event.message]


@pytest.fixture
def office(database: Database) -> Office:
    ada = make_user(database, "ada")
    with database.session() as session:
        ada = session.merge(ada)
        ada.email, ada.notify_by_email = "ada@hospital.example", True
        session.commit()
    job = make_job(database, studies=2, owner=ada, name="Doe^Jane")
    return Office(database, ada, job.id)


@pytest.fixture
def server_context(authority: Authority, tmp_path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("127.0.0.1").write(tmp_path / "server"))
    return context


@pytest.fixture
def ca_file(authority: Authority, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.write_text(authority.certificate)
    return str(path)


def end_of(news: News) -> JobEnd:
    assert isinstance(news.event, JobEnd)
    return news.event


def mail_settings(server: FakeMailServer, **changes) -> Settings:
    given = {
        "smtp_host": "127.0.0.1",
        "smtp_port": server.port,
        "smtp_sender": "ADIT <adit@hospital.example>",
    }
    return Settings(**{**given, "smtp_security": "none", **changes})


def hook_settings(url: str) -> Settings:
    return Settings(webhook_url=SecretStr(url), webhook_secret=SecretStr("shared"))


def test_the_end_of_a_job_is_told_once(office: Office) -> None:
    mail, hook = Recorder(), Recorder()
    assert office.outbox() == []

    office.end_job()
    assert office.outbox() == [Channel.WEBHOOK, Channel.EMAIL]
    assert office.tell({Channel.EMAIL: mail, Channel.WEBHOOK: hook}) == Told(told=2)

    assert office.tell({Channel.EMAIL: mail, Channel.WEBHOOK: hook}) == Told()
    (news,) = mail.news
    assert hook.news[0].event == news.event
    assert (news.owner, news.email, news.link) == (
        "ada",
        "ada@hospital.example",
        f"https://adit.example/job?id={office.job_id}",
    )
    assert (end_of(news).status, end_of(news).tasks) == (JobStatus.SUCCESS, {TaskStatus.SUCCESS: 2})
    assert office.told() == ["The end was told by webhook.", "The end was told by e-mail."]


def test_each_end_of_a_job_is_told_as_it_was(office: Office) -> None:
    mail = Recorder()
    root = make_user(office.db, "root", staff=True)
    office.end_job(TaskStatus.FAILURE)
    retry_failed(office.db, FakeLauncher(), root, office.job_id)
    cancel_job(office.db, FakeLauncher(), root, office.job_id)

    office.tell({Channel.EMAIL: mail})

    assert [(end_of(news).status, end_of(news).run_number) for news in mail.news] == [
        (JobStatus.FAILURE, 1),
        (JobStatus.CANCELED, 2),
    ]


def test_only_who_wants_e_mails_gets_them(office: Office) -> None:
    job = make_job(office.db, owner=make_user(office.db, "bob"))
    cancel_job(office.db, FakeLauncher(), make_user(office.db, "root", staff=True), job.id)

    assert office.outbox() == [Channel.WEBHOOK]


def test_an_end_that_is_rolled_back_is_not_told(office: Office) -> None:
    first, second = unfinished_task_ids(office.db, office.job_id)
    for task_id in (first, second):
        claim_task(office.db, task_id, token="worker", lease=60)
    finish_task(office.db, first, token="worker", status=TaskStatus.FAILURE, message="", counts=None)
    with pytest.raises(ValueError, match="cannot end"):
        finish_task(
            office.db,
            second,
            token="worker",
            status=TaskStatus.SUCCESS,
            message="",
            counts=TaskCounts(1, failed=1),
        )

    assert office.outbox() == []


def test_a_failure_is_tried_again_later_and_leaves_the_other_channel_alone(office: Office) -> None:
    mail, hook = Recorder(fails=2), Recorder()
    messengers: dict[Channel, Messenger] = {Channel.EMAIL: mail, Channel.WEBHOOK: hook}
    office.end_job()

    assert office.tell(messengers) == Told(told=1, put_off=1)
    assert office.tell(messengers) == Told(), "not at once"
    office.let_time_pass()
    assert office.tell(messengers) == Told(put_off=1)
    office.let_time_pass()
    assert office.tell(messengers) == Told(told=1)

    assert (len(mail.news), len(hook.news)) == (1, 1)


def test_what_fails_again_and_again_is_given_up_and_the_history_says_so(office: Office) -> None:
    mail = Recorder(fails=ATTEMPTS)
    office.end_job()

    done = []
    for _ in range(ATTEMPTS):
        office.let_time_pass()
        done.append(office.tell({Channel.EMAIL: mail}).given_up)

    assert done == [0] * (ATTEMPTS - 1) + [1]
    assert office.outbox() == []
    assert office.told() == ["The end could not be told by e-mail: The mail server is away."]


def test_a_process_that_dies_while_it_tells_leaves_that_to_the_next(office: Office) -> None:
    class Dying:
        def tell(self, news: News) -> None:  # noqa: ARG002
            raise KeyboardInterrupt

    office.end_job()
    mail = Recorder()
    with pytest.raises(KeyboardInterrupt):
        office.tell({Channel.EMAIL: Dying()})

    assert office.tell({Channel.EMAIL: mail}) == Told(), "it may be alive"
    office.let_time_pass()
    assert office.tell({Channel.EMAIL: mail}) == Told(told=1)


def test_several_processes_tell_everything_once(office: Office) -> None:
    mail = Recorder()
    first = load(office.db, Job, office.job_id)
    jobs = [first.id, *(another_job(office.db, first, run_number=1).id for _ in range(9))]
    for job_id in jobs:
        cancel_job(office.db, FakeLauncher(), office.ada, job_id)

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: office.tell({Channel.EMAIL: mail}), range(4)))

    assert sum(each.told for each in done) == 10
    assert sorted(end_of(news).job_id for news in mail.news) == sorted(jobs)


def test_an_e_mail_tells_what_matters_and_nothing_of_patients(office: Office) -> None:
    office.end_job(TaskStatus.FAILURE)
    with FakeMailServer() as server:
        messengers = dict(configured_messengers(mail_settings(server)))
        assert office.tell(messengers) == Told(told=1)

    (received,) = server.inbox
    assert (received.sender, received.recipient) == ("adit@hospital.example", "ada@hospital.example")
    message = received.message
    assert message["Subject"] == f"ADIT: job {office.job_id} ended with FAILURE"
    assert message["Message-ID"].endswith("@hospital.example>")
    text = message.get_content().replace("\r\n", "\n")
    assert f"Job {office.job_id} (batch transfer) ended with FAILURE at " in text
    assert "2 of 2 studies failed.\nTasks: 2 FAILURE.\n" in text
    assert f"https://adit.example/job?id={office.job_id}" in text
    assert not any(word in message.as_string() for word in ("Doe", "P1", "1.2.1"))


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_e_mails_travel_encrypted_and_signed_in(
    office: Office, server_context: ssl.SSLContext, ca_file: str, security: str
) -> None:
    office.end_job()
    with FakeMailServer(server_context, is_implicit=security == "tls", password="hunter2") as server:
        settings = mail_settings(
            server,
            smtp_security=security,
            smtp_username="adit",
            smtp_password="hunter2",
            notification_ca_file=ca_file,
        )
        assert office.tell(dict(configured_messengers(settings))) == Told(told=1)

    (received,) = server.inbox
    assert received.was_encrypted
    assert received.signed_in_as == "adit"


def test_a_mail_server_that_is_not_trusted_gets_nothing(
    office: Office, server_context: ssl.SSLContext
) -> None:
    office.end_job()
    with FakeMailServer(server_context) as server:
        settings = mail_settings(server, smtp_security="starttls")
        assert office.tell(dict(configured_messengers(settings))) == Told(put_off=1)
    assert server.inbox == []


def test_a_mail_server_without_encryption_is_not_put_up_with(office: Office) -> None:
    office.end_job()
    with FakeMailServer() as server:
        settings = mail_settings(server, smtp_security="starttls")
        assert office.tell(dict(configured_messengers(settings))) == Told(put_off=1)
    assert server.inbox == []


def test_what_a_mail_server_says_is_not_repeated(office: Office) -> None:
    with FakeMailServer(refuses=1) as server:
        (messenger,) = configured_messengers(mail_settings(server)).values()
        office.end_job()
        recorder = Recorder()
        office.tell({Channel.EMAIL: recorder})
        with pytest.raises(NotificationFailed, match="refuses the recipient") as caught:
            messenger.tell(recorder.news[0])
    assert "ada" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_webhook_gets_a_signed_post(office: Office) -> None:
    office.end_job(TaskStatus.FAILURE)
    with FakeWebPeer(Exchange.answer) as peer:
        settings = hook_settings(f"{peer.url}/hook?key=1")
        assert office.tell(dict(configured_messengers(settings))) == Told(told=1)

    (exchange,) = peer.exchanges
    assert (exchange.method, exchange.target) == ("POST", "/hook?key=1")
    given = exchange.headers["x-adit-signature"]
    sent_at = int(given.partition(",")[0].removeprefix("t="))
    assert abs(sent_at - utc_now().timestamp()) < 60
    assert given == signature(exchange.body, "shared", at=sent_at)
    assert given != signature(exchange.body, "another", at=sent_at)
    told = json.loads(exchange.body)
    assert told["delivery"] == int(exchange.headers["x-adit-delivery"])
    assert (told["event"], told["owner"]) == ("job ended", "ada")
    assert (told["job"]["job_id"], told["job"]["status"]) == (office.job_id, "FAILURE")
    assert not any(word in exchange.body.decode() for word in ("Doe", "P1", "1.2.1", "hospital"))


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_does_not_take_it_is_asked_again(office: Office, status: int) -> None:
    office.end_job()

    def refuse(exchange: Exchange) -> None:
        exchange.answer(status, headers={"Location": "/elsewhere"})

    with FakeWebPeer(refuse, Exchange.answer) as peer:
        settings = hook_settings(peer.url)
        messengers = dict(configured_messengers(settings))
        assert office.tell(messengers) == Told(put_off=1)
        office.let_time_pass()
        assert office.tell(messengers) == Told(told=1)

    first, second = peer.exchanges
    assert first.headers["x-adit-delivery"] == second.headers["x-adit-delivery"]


def test_a_webhook_that_is_away_is_a_failure_that_does_not_tell_its_address(dead_port: int) -> None:
    url = f"http://127.0.0.1:{dead_port}/hook?key=secret"
    settings = hook_settings(url)
    (messenger,) = configured_messengers(settings).values()
    with pytest.raises(NotificationFailed, match="does not answer") as caught:
        messenger.tell(_news())
    assert "key" not in str(caught.value)


def _news() -> News:
    end = JobEnd(
        job_id=1,
        run_number=1,
        kind=JobKind.BATCH_TRANSFER,
        status=JobStatus.SUCCESS,
        summary="",
        tasks={},
        ended_at=utc_now(),
    )
    return News(1, end, "ada", "", "")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"smtp_host": "mail"}, "ADIT_SMTP_SENDER"),
        (
            {"smtp_host": "mail", "smtp_sender": "a@b", "smtp_username": "a", "smtp_security": "none"},
            "ADIT_SMTP_SECURITY",
        ),
        ({"webhook_url": "https://example.org"}, "ADIT_WEBHOOK_SECRET"),
        ({"webhook_url": "example.org", "webhook_secret": "s"}, "ADIT_WEBHOOK_URL"),
        (
            {"webhook_url": "https://example.org", "webhook_secret": "s", "notification_ca_file": "/nowhere"},
            "ADIT_NOTIFICATION_CA_FILE",
        ),
    ],
)
def test_channels_that_are_set_up_in_part_are_refused(given: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        configured_messengers(Settings(**given))  # pyright: ignore[reportArgumentType]
    assert [problem.field for problem in caught.value.problems] == [field]


def test_nothing_is_set_up_by_default(office: Office) -> None:
    assert configured_messengers(Settings()) == {}
    office.end_job()
    assert office.tell({}) == Told()
    assert office.outbox() == [], "what nobody can tell does not pile up"
