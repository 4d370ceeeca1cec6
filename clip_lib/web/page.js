// The page in the browser: language, address, buttons of the answers, what is read out.
() => {
  const french = /^fr(-|$)/.test(navigator.language);
  document.documentElement.lang = french ? "fr" : "en";
  let asked = {}, wanted = {}, first = -1;
  const said = document.createElement("p");
  said.className = "clip-said";
  said.setAttribute("aria-live", "polite");
  document.body.append(said);

  // What Gradio calls before a query; what it returns is sent.
  window.clip = {
    failed: `<p class="clip-note">${FAILED[Number(french)]}</p>`,
    ask(gallery, q, like = "", k = 5) {
      asked = {gallery, q, like, k};
      const address = new URL(location);
      for (const name of ["q", "like", "gallery"]) {
        address.searchParams.delete(name);
        if (asked[name]) address.searchParams.set(name, asked[name]);
      }
      history.replaceState(history.state, "", address);
      return [gallery, q, like, k];
    },
    open(gallery) {
      const {q = "", like = ""} = Object.fromEntries(new URL(location).searchParams);
      return q || like ? clip.ask(gallery, q, like) : [gallery, "", "", 5];
    },
    again: (gallery, q) => wanted.like
      ? clip.ask(gallery, q, wanted.like)
      : clip.ask(asked.gallery, asked.q, asked.like, wanted.k),
    more: (gallery, picture, labels) => [gallery, picture, labels, wanted.k],
    shown(answers) {
      const lines = answers.querySelectorAll(".clip-note, .clip-heading");
      said.textContent = Array.from(lines, (line) => line.textContent).join(" ");
      const place = first < 0 ? null : answers.querySelectorAll(".clip-cards li")[first];
      place?.querySelector("button")?.focus();
      first = -1;
    },
  };

  const actions = {
    view(button) {
      const dialog = button.closest("li").querySelector("dialog");
      const picture = dialog.querySelector("img");
      picture.src = picture.dataset.src;
      dialog.showModal();
    },
    close: (button) => button.closest("dialog").close(),
    async copy(button) {
      const path = button.closest("dialog").querySelector("code");
      getSelection().selectAllChildren(path);
      // Refused in the frame below a cell: what is selected can be copied by hand.
      await navigator.clipboard.writeText(path.textContent);
      button.textContent = button.dataset.done;
    },
    like(button) {
      button.closest("dialog")?.close();
      wanted = {like: button.dataset.name};
      first = 0;
      document.querySelector("button[role=tab]").click();
      document.querySelector("#search_text_answers .clip-answers").send("click");
    },
    more(button) {
      const answers = button.closest(".clip-answers");
      first = answers.querySelectorAll(".clip-cards li").length;
      wanted = {k: first + 10};
      answers.send("click");
    },
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button) actions[button.dataset.do](button);
    else if (event.target.matches("dialog")) event.target.close();
  });

  document.addEventListener("paste", (event) => {
    const files = event.clipboardData.files;
    const input = document.querySelector("#picture input[type=file]");
    const hidden = !input || !input.closest("#picture").offsetParent;
    if (hidden || !files.length || !files[0].type.startsWith("image/")) return;
    input.files = files;
    input.dispatchEvent(new Event("change", {bubbles: true}));
  });

  const table = Object.entries(french ? GRADIO_FRENCH : {})
    .map(([from, to]) => [RegExp(from), to]);
  const translated = (text) => {
    const found = table.find(([from]) => from.test(text.trim()));
    return found ? text.trim().replace(...found) : text;
  };
  const repair = () => {
    // Gradio asks nothing more until the server is back, then it reloads the page.
    const lost = document.querySelector("[data-testid=toast-body].error")
      ?.textContent.includes("Connection");
    if (lost) for (const one of document.querySelectorAll(".clip-answers")) one.hidden = true;
    for (const name of ["aria-label", "title"])
      for (const element of document.querySelectorAll(`.gradio-container [${name}]`)) {
        const text = element.getAttribute(name);
        if (translated(text) !== text) element.setAttribute(name, translated(text));
      }
    for (const toast of document.querySelectorAll("[data-testid=toast-body]")) {
      const texts = document.createTreeWalker(toast, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) {
        const text = texts.currentNode;
        if (translated(text.data) !== text.data) text.data = translated(text.data);
      }
    }
  };
  const watched = {childList: true, subtree: true, attributeFilter: ["aria-label"]};
  new MutationObserver(repair).observe(document.body, watched);
  repair();
}
