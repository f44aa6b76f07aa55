"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const all = (selector, where = document) => [...where.querySelectorAll(selector)];
  const setup = JSON.parse($("setup").textContent);
  const PER_PAGE = innerWidth > 720 ? 10 : 1;
  const DEFAULTS = { sort: "rank", dir: "", q: "", target: "", kinds: "", class: "", size: "", since: "", hide: "", task: "", show: "", page: "1", entries: "", query: "", a: "", b: "" };
  const state = { ...DEFAULTS };
  document.documentElement.classList.add("scripted");

  // text of strangers becomes text nodes, here and nowhere else
  function make(tag, css, text) {
    const element = document.createElement(tag);
    if (css) element.className = css;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  // the address: everything the reader chose, so that a link shows the same
  function readHash() {
    Object.assign(state, DEFAULTS);
    const hash = location.hash.slice(1);
    if (!hash.includes("=")) return;
    for (const [key, value] of new URLSearchParams(hash)) if (key in DEFAULTS) state[key] = value;
  }
  function writeHash() {
    const found = new URLSearchParams();
    for (const key in DEFAULTS) if (state[key] !== DEFAULTS[key]) found.set(key, state[key]);
    const text = found.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }
  function change(values) {
    Object.assign(state, values);
    writeHash();
    showTables();
  }

  // theme
  function storage(action) {
    try { return action(localStorage); } catch { return null; } // forbidden for some files and modes
  }
  function setTheme(name) { if (name) document.documentElement.dataset.theme = name; }
  setTheme(storage((store) => store.getItem("theme")));
  $("theme").addEventListener("click", () => {
    const chosen = document.documentElement.dataset.theme;
    const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    setTheme(dark ? "light" : "dark");
    storage((store) => store.setItem("theme", dark ? "light" : "dark"));
  });

  // tables
  const tables = all("table.board").map((table) => {
    const heads = all("thead th", table);
    return {
      heads,
      article: table.closest("article"),
      keys: heads.map((head) => head.dataset.key),
      bodies: all("tbody", table).map((body) => ({
        body,
        part: body.querySelector("tr.part"),
        rows: all("tr:not(.part)", body).map((row, place) => ({ row, place, cells: [...row.children] })),
      })),
    };
  });
  const columns = new Map(); // key to { title, first, off }
  for (const table of tables) {
    for (const head of table.heads) {
      const title = head.firstChild.textContent.trim();
      columns.set(head.dataset.key, { title, first: head.dataset.first });
      const button = make("button");
      const small = head.querySelector("small");
      button.type = "button";
      button.append(make("span", "", title));
      if (small) button.append(small);
      button.addEventListener("click", () => sortBy(head.dataset.key));
      head.replaceChildren(button);
      head.removeAttribute("title"); // the page has its own, for the keyboard too
      button.dataset.tip = head.dataset.tip;
      delete head.dataset.tip;
    }
  }
  function direction() { return state.dir || (columns.get(state.sort) || { first: "asc" }).first; }
  function sortBy(key) {
    const again = key === state.sort;
    change({ sort: key, dir: again ? (direction() === "asc" ? "desc" : "asc") : "" });
  }
  function compare(a, b, sign) {
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined); // without a value: last
    const [x, y] = [Number(a), Number(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return sign * (a < b ? -1 : a > b ? 1 : 0);
    return sign * (x - y);
  }
  function showTables() {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const off = new Set(state.kinds.split(",").filter(Boolean));
    const hidden = new Set(state.hide.split(",").filter(Boolean));
    if (!columns.has(state.sort)) state.sort = DEFAULTS.sort;
    const sign = direction() === "asc" ? 1 : -1;
    let shown = 0;
    for (const table of tables) {
      const suite = table.article.dataset.suite;
      table.article.hidden = Boolean(state.target) && state.target !== suite;
      const column = table.keys.indexOf(state.sort);
      let left = 0;
      for (const { body, part, rows } of table.bodies) {
        const value = (one) => (column < 0 ? undefined : one.cells[column].dataset.v);
        rows.sort((a, b) => compare(value(a), value(b), sign) || a.place - b.place);
        let here = 0;
        for (const { row, cells } of rows) {
          const text = row.dataset.text;
          const known = (key) => cells[table.keys.indexOf(key)].dataset.v;
          row.hidden = off.has(row.dataset.kind) || !words.every((word) => text.includes(word)) ||
            Boolean(state.class && state.class !== row.dataset.class) ||
            Boolean(state.size && !(Number(known("size")) <= Number(state.size))) ||
            Boolean(state.since && !(known("date") >= state.since));
          here += !row.hidden;
          cells.forEach((cell, place) => { cell.hidden = hidden.has(table.keys[place]); });
        }
        body.append(...rows.map((one) => one.row));
        if (part) part.hidden = !here;
        left += here;
      }
      table.heads.forEach((head, place) => {
        head.hidden = hidden.has(table.keys[place]);
        if (place === column) head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      });
      table.article.querySelector(".none").hidden = left > 0;
      if (!table.article.hidden) shown += left;
    }
    $("search").value = state.q;
    if ($("target")) $("target").value = state.target;
    $("sort").value = state.sort;
    for (const id of ["class", "size", "since"]) $(id).value = state[id];
    for (const box of all("[name=kind]")) box.checked = !off.has(box.value);
    for (const box of all("#columns input")) box.checked = !hidden.has(box.value);
    const said = `${shown} entries shown`;
    if ($("live").textContent !== said) $("live").textContent = said;
  }
  for (const [key, { title }] of columns) {
    const option = make("option", "", title.toLowerCase());
    option.value = key;
    $("sort").append(option);
    if (key === "rank" || key === "name") continue;
    const label = make("label");
    const box = make("input");
    box.type = "checkbox";
    box.value = key;
    label.append(box, title);
    $("columns").append(label);
  }
  const unchecked = (boxes) => boxes.filter((box) => !box.checked).map((box) => box.value).join(",");
  $("tools").addEventListener("submit", (event) => event.preventDefault());
  $("ask")?.addEventListener("submit", (event) => event.preventDefault());
  $("search").addEventListener("input", () => change({ q: $("search").value }));
  $("target")?.addEventListener("change", () => change({ target: $("target").value }));
  $("sort").addEventListener("change", () => change({ sort: $("sort").value, dir: "" }));
  for (const id of ["class", "size", "since"]) $(id).addEventListener("change", () => change({ [id]: $(id).value }));
  for (const box of all("[name=kind]")) box.addEventListener("change", () => change({ kinds: unchecked(all("[name=kind]")) }));
  $("columns").addEventListener("change", () => change({ hide: unchecked(all("#columns input")) }));
  document.addEventListener("click", (event) => {
    for (const menu of all(".menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });

  // what a column means, on hover and on focus
  function tip(event) {
    const owner = event.target.closest?.("[data-tip]");
    $("tip").hidden = !owner;
    if (!owner) return;
    $("tip").textContent = owner.dataset.tip;
    owner.setAttribute("aria-describedby", "tip");
    const [box, own] = [owner.getBoundingClientRect(), $("tip").getBoundingClientRect()];
    $("tip").style.left = `${Math.max(8, Math.min(box.left, innerWidth - own.width - 8))}px`;
    $("tip").style.top = `${box.bottom + 8 + own.height < innerHeight ? box.bottom + 8 : box.top - own.height - 8}px`;
  }
  document.addEventListener("mouseover", tip);
  document.addEventListener("focusin", tip);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") $("tip").hidden = true; });
  document.addEventListener("scroll", () => {
    if (!$("tip").hidden) tip({ target: document.querySelector("[data-tip]:hover") ?? document.activeElement });
  }, { passive: true });

  // an entry, beside the table it was opened from
  function openEntry(id) {
    const entry = document.getElementById(id);
    if (!entry || !entry.matches("details.entry")) return;
    const title = make("h3", "", entry.querySelector(".title").textContent);
    title.append(" ", make("small", "", entry.querySelector(".org").textContent));
    $("sheet-body").replaceChildren(title, entry.querySelector(".body").cloneNode(true));
    if (!$("sheet").open) $("sheet").showModal();
    $("sheet").scrollTop = 0;
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a.open");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    history.replaceState(null, "", link.getAttribute("href"));
    openEntry(decodeURIComponent(link.getAttribute("href").slice(1)));
  });
  $("sheet").addEventListener("close", writeHash);
  $("sheet").addEventListener("click", (event) => { if (event.target === $("sheet")) $("sheet").close(); });

  // queries: shards are scripts that call IB.load, for a file may not fetch another one
  const shards = new Map(); // "key/number" to its data, or to those who wait for it
  window.IB = Object.freeze({
    load(key, number, data) {
      const waiting = shards.get(`${key}/${number}`);
      shards.set(`${key}/${number}`, data);
      if (Array.isArray(waiting)) for (const done of waiting) done(data);
    },
  });
  function shard(key, number) {
    const name = `${key}/${number}`;
    const found = shards.get(name);
    if (found && !Array.isArray(found)) return Promise.resolve(found);
    return new Promise((done, fail) => {
      if (found) { found.push(done); return; }
      shards.set(name, [done]);
      const script = make("script");
      script.src = `q/${key}-${number}.js`;
      script.addEventListener("error", () => { shards.delete(name); fail(new Error(script.src)); });
      document.head.append(script);
    });
  }
  // two entries side by side: numbers from their own tables, differences from the index of a task
  const entries = all("details.entry");
  const picked = (id) => entries.find((one) => one.id === id);
  async function showCompared() {
    const names = [state.a, state.b].map((id, place) => picked(id) || entries[Math.min(place, entries.length - 1)]);
    $("c-a").value = names[0].id;
    $("c-b").value = names[1].id;
    const key = (row) => `${row.dataset.task}|${row.cells[1].textContent}`;
    const [first, second] = names.map((one) => new Map(all(".small tbody tr", one).map((row) => [key(row), row])));
    const about = names[0].dataset;
    const same = about.suite === names[1].dataset.suite && about.access === names[1].dataset.access;
    const letters = about.ties.split(" ").filter((one) => one && names[1].dataset.ties.split(" ").includes(one));
    const apart = same && about.ties && names[1].dataset.ties && names[0] !== names[1];
    const rows = [];
    for (const name of new Set([...first.keys(), ...second.keys()])) {
      const [one, other] = [first.get(name), second.get(name)];
      const row = make("tr");
      const [label, metric] = [...(one || other).cells].slice(0, 2).map((cell) => cell.textContent);
      const value = (own) => (own ? `${own.cells[2].textContent} ${own.cells[3].textContent}` : "–");
      const head = make("th", "", label);
      head.scope = "row";
      const away = make("td", "n", "–");
      row.append(head, make("td", "", metric), make("td", "n", value(one)), make("td", "n", value(other)), away);
      rows.push(row);
      const from = name.split("|")[0];
      if (!from) away.textContent = apart ? (letters.length ? "not told apart" : "told apart") : "–";
      else if (one && other && same && setup.tasks.some((task) => task.key === `${about.suite}-${from}`)) {
        shard(`${about.suite}-${from}`, 0).then((index) => {
          const [i, j] = names.map((own) => index.entries.findIndex((found) => found.id === own.dataset.id));
          const place = index.metrics.indexOf(metric);
          const own = index.differences[`${i}-${j}`];
          const turned = index.differences[`${j}-${i}`];
          if (own) away.textContent = own[place];
          else if (turned) away.textContent = turn_round(turned[place]);
        }).catch((error) => { away.textContent = `cannot load ${error.message}`; });
      }
    }
    $("c-table").tBodies[0].replaceChildren(...rows);
  }
  // `+1.0 [-2.0, +4.0]` the other way round
  function turn_round(text) {
    const sign = { "+": "−", "−": "+" };
    const turned = [...text.matchAll(/([+−]?)([\d.]+)/g)].map(([, first, number]) => (sign[first] || "") + number);
    return turned.length === 3 ? `${turned[0]} [${turned[2]}, ${turned[1]}]` : text;
  }
  for (const [id, key] of [["c-a", "a"], ["c-b", "b"]]) {
    for (const one of entries) {
      const option = make("option", "", `${one.querySelector(".title").textContent} · ${one.querySelector(".org").textContent} · ${one.dataset.suite}`);
      option.value = one.id;
      $(id).append(option);
    }
    $(id).addEventListener("change", () => { Object.assign(state, { [key]: $(id).value }); writeHash(); showCompared(); });
  }

  const task = () => setup.tasks.find((one) => one.key === state.task) || setup.tasks[0];
  function chosen(index) {
    const wanted = state.entries.split(",").filter(Boolean);
    const places = wanted.map((id) => index.entries.findIndex((one) => one.id === id)).filter((place) => place >= 0);
    return places.length ? places : index.entries.map((_, place) => place).slice(0, 4);
  }
  function fits(index, places, number) {
    if (state.query) return index.ids[number] === state.query;
    const n = places.filter((place) => index.right[place][number] === "1").length;
    if (state.show === "disagreements") return n > 0 && n < places.length;
    if (state.show === "wrong") return n === 0;
    return state.show !== "right" || n === places.length;
  }
  let turn = 0;
  async function showQueries() {
    if (!setup.tasks.length) return;
    const mine = ++turn;
    const about = task();
    try {
      const index = await shard(about.key, 0);
      const places = chosen(index);
      const fitting = index.ids.map((_, number) => number).filter((number) => fits(index, places, number));
      const pages = Math.max(1, Math.ceil(fitting.length / PER_PAGE));
      const page = Math.min(Math.max(1, Number.parseInt(state.page, 10) || 1), pages);
      const numbers = fitting.slice((page - 1) * PER_PAGE, page * PER_PAGE);
      const parts = new Map();
      for (const number of numbers) {
        const part = 1 + Math.floor(number / about.per_shard);
        if (!parts.has(part)) parts.set(part, await shard(about.key, part));
      }
      if (mine !== turn) return; // the reader has gone on
      $("q-list").replaceChildren(...numbers.map((number) => {
        const data = parts.get(1 + Math.floor(number / about.per_shard));
        return card(data.queries[number % about.per_shard], index, places);
      }));
      const range = fitting.length ? `${(page - 1) * PER_PAGE + 1} to ${Math.min(page * PER_PAGE, fitting.length)} of ` : "";
      $("q-count").textContent = `${range}${fitting.length} queries`;
      $("q-prev").disabled = page <= 1;
      $("q-next").disabled = page >= pages;
      showChosen(index, places, about);
    } catch (error) {
      $("q-count").textContent = `cannot load ${error.message}`;
    }
  }
  function showChosen(index, places, about) {
    $("q-task").value = about.key;
    $("q-show").value = state.show;
    const ids = (some) => some.map((place) => index.entries[place].id).join(",");
    const first = make("option", "", "choose");
    first.value = "";
    $("q-add").replaceChildren(first, ...index.entries.flatMap((entry, place) => {
      if (places.includes(place)) return [];
      const option = make("option", "", entry.name);
      option.value = ids([...places, place]);
      return [option];
    }));
    const picks = places.map((place) => {
      const button = make("button", "", index.entries[place].name);
      button.type = "button";
      button.setAttribute("aria-label", `Remove ${index.entries[place].name}`);
      button.disabled = places.length === 1;
      button.addEventListener("click", () => ask({ entries: ids(places.filter((other) => other !== place)), page: "1" }));
      return button;
    });
    if (state.query) {
      const button = make("button", "", `query ${state.query}`);
      button.type = "button";
      button.setAttribute("aria-label", "Show other queries too");
      button.addEventListener("click", () => ask({ query: "", page: "1" }));
      picks.unshift(button);
    }
    $("q-entries").replaceChildren(...picks);
  }
  function card(query, index, places) {
    const item = make("li", "query");
    const top = make("header");
    const link = make("a", "mono", query.id);
    const address = new URLSearchParams({ task: task().key, query: query.id });
    if (state.entries) address.set("entries", state.entries);
    link.href = `#${address}`;
    top.append(link, ...query.about.map((text) => make("span", "", text)));
    const truth = make("p", "truth");
    truth.append(make("b", "", "truth"), query.truth);
    const table = make("table", "replies");
    const head = table.createTHead().insertRow();
    for (const text of ["entry", "reply", "read as", "score"]) {
      const cell = make("th", "", text);
      cell.scope = "col";
      head.append(cell);
    }
    const texts = query.windows.map((window, number) => {
      const lines = make("div", "texts");
      lines.append(shaded("true", window.tokens, window.true, window.mark, ""));
      const silent = [];
      for (const place of places) {
        const [name, own] = [index.entries[place].name, query.replies[place][4]];
        if (own && /[1-9]/.test(own[number])) lines.append(shaded(name, window.tokens, own[number], window.mark, "guess"));
        else silent.push(name);
      }
      if (silent.length) lines.append(shaded("predict none", [silent.join(", ")], "0", -1, ""));
      return lines;
    });
    const body = table.createTBody();
    for (const place of places) {
      const [raw, read, score, right] = query.replies[place];
      const row = body.insertRow();
      const name = make("th", "", index.entries[place].name);
      name.scope = "row";
      const said = make("td", "raw mono", raw === null ? "(no reply)" : raw);
      const mark = make("td", `score ${right ? "yes" : "no"}`, `${right ? "✓" : "✗"} ${score}`);
      row.append(name, said, make("td", read === raw ? "same" : "", read === null ? "(not readable)" : read), mark);
    }
    item.append(top, make("p", "asked", query.asked), truth, table, ...texts);
    return item;
  }
  function shaded(label, tokens, line, mark, css) {
    const whole = make("p", `toks ${css}`);
    const text = make("span");
    text.append(...tokens.map((token, place) => make("span", `h${line[place]}${place === mark ? " mark" : ""}`, token)));
    whole.append(make("b", "", label), " ", text);
    return whole;
  }
  function ask(values) {
    Object.assign(state, values);
    writeHash();
    showQueries();
  }
  if (setup.tasks.length) {
    $("q-task").addEventListener("change", () => ask({ task: $("q-task").value, entries: "", query: "", page: "1" }));
    $("q-show").addEventListener("change", () => ask({ show: $("q-show").value, query: "", page: "1" }));
    $("q-add").addEventListener("change", () => ask({ entries: $("q-add").value, page: "1" }));
    const step = (by) => () => ask({ page: String((Number.parseInt(state.page, 10) || 1) + by) });
    $("q-prev").addEventListener("click", step(-1));
    $("q-next").addEventListener("click", step(1));
    // nothing is loaded before the reader comes near
    const near = new IntersectionObserver((seen) => {
      if (seen.some((one) => one.isIntersecting)) { near.disconnect(); showQueries(); }
    }, { rootMargin: "200px" });
    near.observe($("queries"));
  }
  if (entries.length) {
    const seen = new IntersectionObserver((all) => {
      if (all.some((one) => one.isIntersecting)) { seen.disconnect(); showCompared(); }
    });
    seen.observe($("compare"));
  }

  function arrive() {
    readHash();
    showTables();
    const id = decodeURIComponent(location.hash.slice(1));
    if (id.startsWith("entry-")) openEntry(id);
    if (state.a || state.b) { showCompared(); $("compare").scrollIntoView(); }
    if (state.task || state.query || state.show) {
      $("queries")?.scrollIntoView();
      showQueries();
    }
  }
  addEventListener("hashchange", arrive);
  arrive();
})();
